"""The formats that can be imported, by name."""

from __future__ import annotations

from saccade.pipelines.importing.amazon import AMAZON
from saccade.pipelines.importing.criteo import CRITEO
from saccade.pipelines.importing.format import Format
from saccade.pipelines.importing.images.coco import COCO
from saccade.pipelines.importing.images.folder import IMAGE_FOLDER
from saccade.pipelines.importing.images.idx import IDX
from saccade.pipelines.importing.images.voc import VOC
from saccade.pipelines.importing.json_lines import JSONL
from saccade.pipelines.importing.movielens import MOVIELENS
from saccade.pipelines.importing.recbole import RECBOLE
from saccade.pipelines.importing.speech.common_voice import COMMON_VOICE
from saccade.pipelines.importing.speech.folder import SPEECH_FOLDER
from saccade.pipelines.importing.speech.librispeech import LIBRISPEECH
from saccade.pipelines.importing.tables import CSV, TEXT, TSV
from saccade.pipelines.importing.text.labelled import LABELLED_TEXT
from saccade.pipelines.importing.text.pairs import TEXT_PAIRS

FORMATS: dict[str, Format] = {
    "csv": CSV,
    "tsv": TSV,
    "jsonl": JSONL,
    "user_item": TEXT,
    "movielens": MOVIELENS,
    "recbole": RECBOLE,
    "amazon": AMAZON,
    "criteo": CRITEO,
    "labelled_text": LABELLED_TEXT,
    "text_pairs": TEXT_PAIRS,
    "speech_folder": SPEECH_FOLDER,
    "librispeech": LIBRISPEECH,
    "common_voice": COMMON_VOICE,
    "image_folder": IMAGE_FOLDER,
    "idx": IDX,
    "voc": VOC,
    "coco": COCO,
}
