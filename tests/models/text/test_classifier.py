"""The text classifier over packed tokens."""

import torch
from torch import Tensor

from saccade.models.jagged import Jagged
from saccade.models.local import LocalMixing
from saccade.models.text.classifier import TextClassifier


def classifier() -> TextClassifier:
    torch.manual_seed(0)
    return TextClassifier(
        classes=3, dim=8, blocks=2, heads=2, hidden=16, dropout=0.3, token_dropout=0.3, reach=1, max_length=9
    )


def test_neighbours_in_the_batch_leave_no_trace() -> None:
    network = classifier().eval()
    texts = [torch.randn(n, 8) for n in (4, 0, 9, 1, 4)]
    together = network(Jagged.pack(texts))
    alone = torch.cat([network(Jagged.pack([text])) for text in texts])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_no_text_keeps_every_parameter_in_the_graph() -> None:
    network = classifier()
    network(Jagged(torch.zeros(0, 8), Jagged.pack([torch.zeros(0, 8)]).layout)).sum().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_hidden_tokens_keep_their_place() -> None:
    network = classifier().train()
    network.classifier.dropout.probability, network.token_dropout.probability = 0.0, 0.5
    seen: list[Tensor] = []
    network.classifier.local.register_forward_hook(lambda module, arguments, output: seen.append(arguments[0].values))
    tokens = torch.randn(9, 8)
    network(Jagged.pack([tokens]))
    shown = (seen[0] - network.positions[0].weight) / (tokens * network.scale)
    part = shown.mean(1)
    torch.testing.assert_close(shown, part[:, None].expand(9, 8).round(), atol=1e-4, rtol=0)
    assert set(part.round().tolist()) == {0.0, 2.0}


def test_local_mixing_is_a_convolution_with_zeros_past_the_ends() -> None:
    torch.manual_seed(0)
    mixing = LocalMixing(4, reach=2)
    texts = [torch.randn(n, 4) for n in (5, 0, 1, 3)]
    kernel = mixing.mixing.weight.view(4, 5, 4).permute(0, 2, 1)  # out, in, step
    expected = [
        torch.nn.functional.gelu(torch.nn.functional.conv1d(t.T[None], kernel, mixing.mixing.bias, padding=2)[0].T)
        for t in texts
        if len(t)
    ]
    torch.testing.assert_close(mixing(Jagged.pack(texts)), torch.cat(expected), atol=1e-5, rtol=1e-5)
