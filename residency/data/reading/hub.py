"""Datasets of the Hugging Face hub, through `datasets`: its cache holds them as Arrow files."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from residency.core.errors import ResidencyError
from residency.core.hub_name import HubName


@cache
def hub_files(name: HubName) -> tuple[Path, ...]:
    """The Arrow files of a dataset, downloaded where they are not there; asked once a process.

    Raises:
        ResidencyError: `datasets` is not installed, the hub cannot be reached, or there is no such
            dataset or split.
    """
    try:
        from datasets import Dataset, DatasetDict, load_dataset
        from datasets.exceptions import DatasetsError
    except ImportError:
        fix = "pip install 'residency[datasets]'; or download the files and name their folder."
        raise ResidencyError("A dataset on the hub needs `datasets`.", str(name), fix) from None
    try:
        # with this prefix a folder of the same name beside the recipe is not taken for it
        loaded = load_dataset(f"hf://datasets/{name.repository}", keep_in_memory=False)
    except (DatasetsError, OSError, ValueError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        fix = "Check the name and the network; or download the files and name their folder."
        raise ResidencyError(f"The dataset cannot be loaded: {reason}.", str(name), fix) from error
    splits: dict[str, Dataset] = dict(loaded) if isinstance(loaded, DatasetDict) else {"": loaded}
    return tuple(Path(file["filename"]) for file in splits[_split(name, list(splits))].cache_files)


def _split(name: HubName, splits: list[str]) -> str:
    wanted = name.split or (splits[0] if len(splits) == 1 else None)
    if wanted in splits:
        return str(wanted)
    what = f"There is no split '{wanted}'." if wanted else f"The dataset has {len(splits)} splits."
    fix = f"Name one: {', '.join(f'hf:{name.repository}:{split}' for split in splits)}"
    raise ResidencyError(what, str(name), fix)
