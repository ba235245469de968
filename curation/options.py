"""Options of `python -m video_ldm.curation`."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..temporal.curation.film import STAGES, CurationSettings
from ..temporal.curation.looks.scores import ALIKE
from ..temporal.curation.plain_folder import STYLES

EXAMPLE = """
Example:
  python -m video_ldm.curation my_films --out my_dataset
  python -m video_ldm.curation my_films --out my_dataset --drop motion=0.1 --limit text_area=0.02

Films are looked at once: thresholds can be changed and the command run again, which takes seconds. A run that
was interrupted goes on where it was. my_dataset/report.html shows what was dropped and why; python -m
video_ldm.training takes my_dataset as --clips.
"""


def parser() -> argparse.ArgumentParser:
    """All options."""
    root = argparse.ArgumentParser(
        prog="python -m video_ldm.curation",
        description="Make a data set of clips from a folder of films.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    root.add_argument("films", type=Path, help="folder of films, with folders in it")
    root.add_argument("--out", type=Path, required=True, help="folder of the data set")
    clips = root.add_argument_group("clips")
    defaults = CurationSettings()
    clips.add_argument(
        "--shortest", type=float, default=defaults.shortest, help="seconds of a clip (%(default)s)"
    )
    clips.add_argument(
        "--longest",
        type=float,
        default=defaults.longest,
        help="seconds of a clip; longer shots are divided (%(default)s)",
    )
    clips.add_argument(
        "--margin", type=float, default=defaults.margin, help="seconds left out beside a cut (%(default)s)"
    )
    clips.add_argument(
        "--detector", choices=("cascade", "transnet"), default="cascade", help="of cuts (%(default)s)"
    )
    clips.add_argument(
        "--skip", action="append", default=[], choices=STAGES, help="a stage to leave out; can be repeated"
    )
    _choice(root.add_argument_group("choice"))
    _captions(root.add_argument_group("captions"))
    _clip(root.add_argument_group("CLIP, which ComfyUI opens"))
    _engine(root.add_argument_group("engine"))
    return root


def _choice(choice: argparse._ArgumentGroup) -> None:
    choice.add_argument(
        "--drop",
        action="append",
        default=[],
        metavar="COLUMN=SHARE",
        help="share of clips to drop by a score, such as motion=0.25; 0 for none",
    )
    choice.add_argument(
        "--limit",
        action="append",
        default=[],
        metavar="COLUMN=VALUE",
        help="value beyond which a clip is always dropped",
    )


def _captions(texts: argparse._ArgumentGroup) -> None:
    texts.add_argument(
        "--caption-command",
        help="program that prints a caption; {picture} stands for a JPEG of the middle frame",
    )
    texts.add_argument(
        "--caption-server",
        help="address of a local server that speaks OpenAI's chat API, such as http://localhost:8000/v1",
    )
    texts.add_argument("--caption-model", default="default", help="model that the server is asked for")


def _clip(clip: argparse._ArgumentGroup) -> None:
    clip.add_argument(
        "--clip",
        nargs="+",
        metavar="FILE",
        help="CLIP's file, or its file for pictures and that for texts: by path, or by name in "
        "models/clip_vision or models/text_encoders; measures how well captions match, and finds clips "
        "that look alike",
    )
    clip.add_argument(
        "--aesthetics",
        type=Path,
        metavar="FILE",
        help="LAION's aesthetic predictor for this CLIP, such as sac+logos+ava1-l14-linearMSE.pth",
    )
    clip.add_argument(
        "--alike",
        type=float,
        default=ALIKE,
        help="cosine of frames from which on a clip is dropped as a duplicate; above 1: none (%(default)s)",
    )
    clip.add_argument("--comfyui", help="folder of ComfyUI (COMFYUI_PATH)")
    clip.add_argument("--cpu", action="store_true", help="without the graphics card")


def _engine(engine: argparse._ArgumentGroup) -> None:
    engine.add_argument(
        "--workers", type=int, default=1, help="processes, or actors of a cluster (%(default)s)"
    )
    engine.add_argument("--ray", metavar="ADDRESS", help="Ray cluster, or local")
    engine.add_argument(
        "--shards", type=Path, help="folder to write WebDataset shards of the kept clips into"
    )
    engine.add_argument(
        "--folder", type=Path, help="folder to write the kept clips into as films with captions beside them"
    )
    engine.add_argument(
        "--folder-style", choices=STYLES, default=STYLES[0], help="trainer that reads it (%(default)s)"
    )
