"""Lists the packages in the four folders under their import names; everything else is in pyproject.toml."""

from setuptools import find_packages, setup

FOLDERS = ("models", "pipelines", "plugins", "cluster")

found = find_packages(
    include=[pattern for folder in FOLDERS for pattern in (folder, f"{folder}.*")],
    exclude=["cluster.package"],  # the package `saccade` itself
)
setup(packages=["saccade", *(f"saccade.{package}" for package in found)])
