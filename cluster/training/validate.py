"""``saccade data validate``: everything in the data that a training would object to, and some that it would not."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tqdm import tqdm

from saccade.cluster.job import CtrJob, Job, NextItemJob, SpeechClassificationJob, TextClassificationJob
from saccade.cluster.training.ctr_facts import ctr_columns, id_columns
from saccade.cluster.training.facts import SHORTEST, gather_facts
from saccade.cluster.training.transforms import conditions, fit_transforms
from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet.files import find_files, public, splits
from saccade.pipelines.parquet.footer import read_footer
from saccade.pipelines.parquet.schema import Column
from saccade.pipelines.parquet.selection import Selection
from saccade.pipelines.parquet.validate.fault import Fault
from saccade.pipelines.parquet.validate.need import Need
from saccade.pipelines.parquet.validate.rules import LARGEST, Finite, Long, Rule, Within
from saccade.pipelines.parquet.validate.split import SplitReport, fault_of, validate_split
from saccade.pipelines.tasks.labels import LABEL_NAMES, label_names
from saccade.pipelines.tasks.speech_classification import SAMPLING_RATE
from saccade.pipelines.transforms.chain import Chain


@dataclass(frozen=True)
class Validation:
    """What was found.

    Attributes:
        splits: by name, those that the job reads.
        faults: all of them, warnings too.
    """

    splits: Mapping[str, SplitReport]
    faults: tuple[Fault, ...]

    @property
    def good(self) -> bool:
        """Whether there is nothing but warnings."""
        return all(fault.warning for fault in self.faults)


def validate(job: Job, *, quick: bool) -> Validation:
    """Look at all files of all splits that a job reads, as it filters and transforms them.

    Where nothing is found in the end, what a training does first is done as well. So there is no data that this lets
    pass and a training refuses when it starts.

    Args:
        job: with resolved paths.
        quick: read footers only; what they don't tell isn't looked at.

    Raises:
        UserError: the path is missing or can't be reached, or the job's task isn't known here.
    """
    splits(job.data.path)  # complains of a path that isn't there
    bar = tqdm(total=0, unit=" row groups", desc="reading", delay=1, leave=False, disable=None)
    with bar, TemporaryDirectory() as folder:
        transforms, refused = None, None
        if not (quick and job.data.transforms):  # fitting takes the rows
            try:
                transforms = fit_transforms(job, Path(folder))
            except UserError as error:
                refused = fault_of("train", job.data.path, "transforms", error)
        if isinstance(job, NextItemJob):
            found = _histories(_Look(job, transforms, quick, bar))
        elif isinstance(job, TextClassificationJob | SpeechClassificationJob):
            found = _labelled(_Look(job, transforms, quick, bar))
        elif isinstance(job, CtrJob):
            found = _clicks(_Look(job, transforms, quick, bar))
        else:
            raise UserError(f"task {job.task}: its data can't be validated")
        faults = [fault for report in found.values() for fault in report.faults]
        named = tuple(f"{fault.file}{end}" for fault in faults if not fault.warning for end in (":", " "))
        if refused is not None and not refused.found.startswith(named):
            faults.append(refused)
        if not quick and all(fault.warning for fault in faults):
            faults += _training_refuses(job, Path(folder))
    return Validation(found, tuple(faults))


@dataclass(frozen=True)
class _Look:
    """Looks at a job's splits.

    Attributes:
        transforms: as they were fitted; None where they couldn't be, and columns that they make aren't looked at.
    """

    job: Job
    transforms: Chain | None
    quick: bool
    bar: Any

    def at(self, split: str, columns: list[Column], rules: list[Rule], optional: Column | None = None) -> SplitReport:
        """Look at a split."""
        job, chain, present = self.job, self.transforms, list[str]()
        if chain is None:
            made = set[str]()
            for each in job.data.transforms:
                present += [name for name in each.reads if name not in made]
                made.update(each.writes)
            columns = [column for column in columns if column.name not in made]
        else:
            chain = chain.making(column.name for column in columns)
        need = Need(
            split,
            Selection(tuple(columns), tuple(conditions(job)), chain if chain and chain.steps else None),
            tuple(rules),
            tuple(dict.fromkeys(present)),
            optional,
            (LABEL_NAMES,),
            job.train.micro_batches if split == "train" else 0,
        )
        return validate_split(job.data.path, split, need, quick=self.quick, bar=self.bar)


def _histories(look: _Look) -> dict[str, SplitReport]:
    """A next-item job's histories, from which all splits are made."""
    job = look.job
    assert isinstance(job, NextItemJob)
    column, rows = job.data.history, job.tables.items.rows
    short = "leave-one-out holds the last two out, and training needs two besides"
    rules: list[Rule] = [
        Within(column, "negative id", 0, LARGEST, "item id", "ids count from 0", "number the items 1, 2, 3, …"),
        Long(column, "too short", SHORTEST, short, "such rows are left out of training"),
    ]
    if rows != "auto":
        but, mend = f"table 'items' has {rows} rows (ids 0..{rows - 1})", "raise tables.items.rows or set it to auto"
        rules.append(Within(column, "id outside its table", -LARGEST - 1, rows - 1, "item id", but, mend))
    report = look.at("train", [Column(column, "integers")], rules)
    if 0 < report.rows == report.count("too short"):
        found = f"no history in column {column!r} has {SHORTEST} items or more: {short}"
        path = public(job.data.path)
        report.faults.append(Fault("train", path, "all too short", found, "use longer histories"))
    return {"train": report}


def _labelled(look: _Look) -> dict[str, SplitReport]:
    """The splits of a classification job, each in its folder."""
    job = look.job
    assert isinstance(job, TextClassificationJob | SpeechClassificationJob)
    label, path, there = job.data.label, public(job.data.path), splits(job.data.path)
    rules: list[Rule] = [
        Within(label, "negative label", 0, LARGEST, "label", "labels count from 0", "number the classes 0, 1, 2, …")
    ]
    if isinstance(job, TextClassificationJob):
        columns, rate = [Column(job.data.text, "string"), Column(label, "integer")], None
        rules.append(Long(job.data.text, "empty", 1, "a text without a word", "drop such rows"))
    else:
        columns, rate = [Column(job.data.audio, "floats"), Column(label, "integer")], Column(SAMPLING_RATE, "integer")
        rules += [
            Long(job.data.audio, "empty", 1, "a recording without a sample", "drop such rows"),
            Finite(job.data.audio),
            _same_rate(job.data.sampling_rate),
        ]
    names, faults = _names(look)
    train = look.at("train", columns, [*rules, *_known(label, len(names), "label_names has")], rate)
    low, high = train.ranges.get(label, (0, -1))
    if low == high and len(names) < 2:
        text = f"every label in column {label!r} is {low}"
        faults.append(Fault("train", path, "one class", text, "there is nothing to tell apart"))
    train.faults += faults
    found = {"train": train}
    for split in ("valid", "test"):
        if split in there:
            known = _known(label, len(names) or high + 1, "training knows")
            found[split] = look.at(split, columns, [*rules, *known], rate)
    train.faults += _absent(job, there)
    return found


def _absent(job: Job, there: Collection[str]) -> list[Fault]:
    """Warnings of the splits that aren't there."""
    path, faults = public(job.data.path), []
    if "valid" not in there:
        text = "there is no valid/ folder: nothing is measured during training, and evaluate.select chooses nothing"
        faults.append(Fault("valid", path, "no split", text, warning=True))
    if "test" not in there and job.evaluate.at_end:
        text = "there is no test/ folder: nothing is measured in the end (evaluate.at_end)"
        faults.append(Fault("test", path, "no split", text, warning=True))
    return faults


def _clicks(look: _Look) -> dict[str, SplitReport]:
    """The splits of a click-prediction job."""
    job = look.job
    assert isinstance(job, CtrJob)
    rules: list[Rule] = []
    for table, names in id_columns(job).items():
        rows = job.table(table).rows
        for name in names:
            rules.append(Within(name, "negative id", 0, LARGEST, "id", "ids count from 0", "number them 1, 2, 3, …"))
            if rows != "auto":
                but, mend = f"table {table!r} has {rows} rows (ids 0..{rows - 1})", "look ids up, or raise table.rows"
                rules.append(Within(name, "id outside its table", -LARGEST - 1, rows - 1, "id", but, mend))
    for name in job.data.labels:
        rules.append(Within(name, "unknown label", 0, 1, "label", "labels of ctr are 0 or 1", "mend the label"))
    there = splits(job.data.path)
    looked_at = [split for split in ("train", "valid", "test") if split == "train" or split in there]
    found: dict[str, SplitReport] = {split: look.at(split, ctr_columns(job), rules) for split in looked_at}
    found["train"].faults += _absent(job, there)
    return found


def _names(look: _Look) -> tuple[tuple[str, ...], list[Fault]]:
    """The classes' names, where there are any, from the vocabulary that labels are looked up in or the first file."""
    job = look.job
    assert isinstance(job, TextClassificationJob | SpeechClassificationJob)
    vocabulary = look.transforms.vocabulary(job.data.label) if look.transforms else None
    if vocabulary is not None and vocabulary[1] == 0:
        return tuple(map(str, vocabulary[0].values.to_pylist())), []
    try:
        files = find_files(job.data.path, "train")
        metadata = read_footer(files, files.names[0]).metadata.schema.to_arrow_schema().metadata or {}
    except UserError:  # listed where the files are looked at
        return (), []
    file = files.shown(files.names[0])
    try:
        return label_names({key.decode(): value.decode(errors="replace") for key, value in metadata.items()}, file), []
    except UserError as error:
        return (), [fault_of("train", file, "label names", error)]


def _known(column: str, labels: int, who: str) -> list[Rule]:
    """Labels are below the number of classes, if that is known."""
    if not labels:
        return []
    but, mend = f"{who} labels 0..{labels - 1}", "mend the label, or drop the row"
    return [Within(column, "unknown label", -LARGEST - 1, labels - 1, "label", but, mend)]


def _same_rate(rate: int) -> Rule:
    but, mend = f"data.sampling_rate={rate}", "set data.sampling_rate, or resample"
    return Within(SAMPLING_RATE, "sampling rate", rate, rate, "samples a second", but, mend)


def _training_refuses(job: Job, fitted: Path) -> list[Fault]:
    """What a training says when it starts, in one fault or none."""
    with TemporaryDirectory() as artifacts:
        try:
            gather_facts(job, Path(artifacts), fitted)
        except UserError as error:
            return [fault_of("train", job.data.path, "training", error)]
    return []
