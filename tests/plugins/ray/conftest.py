"""One small Ray for all tests of this folder; it ends with this process's tests, by ray.shutdown."""

from collections.abc import Iterator

import pytest

pytest.importorskip("ray")


@pytest.fixture(scope="session")
def local_ray() -> Iterator[None]:
    from saccade.plugins.ray.quiet import set_driver_environment

    set_driver_environment(own_cluster=True)
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=2**27)
    yield
    ray.shutdown()
