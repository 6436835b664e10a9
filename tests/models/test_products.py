"""Products by OpenBLAS, where this machine has it, and by torch are the same, however matrices lie in memory."""

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

import saccade.models.products as products
from saccade.models.openblas import openblas
from saccade.models.products import Linear, linear, write_product


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What OpenBLAS is taken for, and however small a product is."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setattr(products, "LEAST", 1)
    yield
    torch.set_num_threads(threads)


def matrices(shape: tuple[int, ...], lies: str, dtype: torch.dtype) -> Tensor:
    """Random numbers that lie in memory one way or the other."""
    *many, rows, columns = shape
    if lies == "columns":
        return torch.randn(*many, columns, rows, dtype=dtype).transpose(-1, -2)
    if lies == "part":
        return torch.randn(*many, rows + 3, columns + 2, dtype=dtype)[..., 1 : rows + 1, 2:]
    return torch.randn(shape, dtype=dtype)


sizes, lies = st.integers(1, 40), st.sampled_from(["rows", "columns", "part"])


@given(
    st.none() | st.integers(1, 5),
    st.tuples(sizes, sizes, sizes),
    st.tuples(lies, lies, lies),
    st.sampled_from([torch.float32, torch.float64]),
    st.sampled_from([1.0, 0.25]),
    st.booleans(),
)
def test_a_product_is_torchs(
    many: int | None,
    shape: tuple[int, int, int],
    how: tuple[str, str, str],
    dtype: torch.dtype,
    scale: float,
    accumulate: bool,
) -> None:
    rows, inner, columns = shape
    batch = () if many is None else (many,)
    first = matrices((*batch, rows, inner), how[0], dtype)
    second = matrices((*batch, inner, columns), how[1], dtype)
    out = matrices((*batch, rows, columns), how[2], dtype)
    if not accumulate:
        out.fill_(float("nan"))  # it may not be read
    expected = scale * first.double() @ second.double() + (out.double() if accumulate else 0.0)
    assert write_product(out, first, second, scale=scale, accumulate=accumulate) is out
    torch.testing.assert_close(out.double(), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("shape", [(50, 12), (3, 7, 12), (12,), (0, 12), (1, 12)])
@pytest.mark.parametrize("biased", [True, False])
def test_a_layer_and_its_gradients_are_torchs(shape: tuple[int, ...], biased: bool) -> None:
    theirs = nn.Linear(12, 5, bias=biased)
    ours = Linear(12, 5, bias=biased)
    ours.load_state_dict(theirs.state_dict())
    tokens = torch.randn(shape)
    found = []
    for layer in (theirs, ours):
        given = tokens.clone().requires_grad_()
        out = layer(given)
        (out.sin() * 3).sum().backward()
        found.append([out, given.grad, *(p.grad for p in layer.parameters())])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b)


def test_an_output_may_be_written_in() -> None:
    out = linear(torch.randn(30, 8, requires_grad=True), torch.randn(6, 8, requires_grad=True))
    out[0, 0] = float("-inf")
    out.logsumexp(1).sum().backward()


def test_a_gradient_that_nobody_wants_is_not_made() -> None:
    weight = torch.randn(6, 8)
    tokens = torch.randn(30, 8, requires_grad=True)
    linear(tokens, weight).sum().backward()
    assert weight.grad is None
    assert tokens.grad is not None


def test_autocast_and_other_types_are_left_to_torch() -> None:
    layer, tokens = Linear(8, 6), torch.randn(30, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(tokens).dtype is torch.bfloat16
    half = layer.to(torch.bfloat16)
    assert half(tokens.bfloat16()).dtype is torch.bfloat16
    assert Linear(8, 6, device="meta")(tokens.to("meta")).shape == (30, 6)


def test_wrong_shapes_are_told_by_torch() -> None:
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        linear(torch.randn(30, 8), torch.randn(6, 9))


def test_an_exported_layer_needs_torch_alone() -> None:
    program = torch.export.export(Linear(8, 6), (torch.randn(30, 8),))
    called = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert called == {"aten.linear.default"}


@pytest.mark.skipif(openblas() is None, reason="torch's own library is as fast here")
def test_openblas_is_what_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object, **named: object) -> Tensor:
        raise AssertionError("torch was asked")

    monkeypatch.setattr(torch, "addmm", broken)
    monkeypatch.setattr(functional, "linear", broken)
    tokens, weight = torch.randn(30, 8), torch.randn(6, 8)
    torch.testing.assert_close(linear(tokens, weight), tokens @ weight.T)
    monkeypatch.undo()
    torch.set_num_threads(2)  # its threads and torch's would take the cores from each other
    monkeypatch.setattr(functional, "linear", broken)
    with pytest.raises(AssertionError, match="torch was asked"):
        linear(tokens, weight)
