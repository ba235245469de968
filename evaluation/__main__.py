"""Measure films that were made, alone or beside real ones, and write a page and JSON; `--help` says how."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..curation.scoring import open_network
from ..temporal.errors import InvalidInputError, MissingLibraryError, exit_status
from ..temporal.metrics.distances import clips_of, measure_distances
from ..temporal.metrics.films import FilmNumbers, Look, measure_film
from ..temporal.video.reading import FILMS
from ..temporal.weights.whole_file import check_writable
from .looks import Networks, with_looks
from .report import PAGE, write_results

logger = logging.getLogger("video_ldm.evaluation")
EXAMPLE = """
Example:
  python -m video_ldm.evaluation --made output/video --real my_clips --out report

Without any file: motion, flicker, warping error, smoothness, drift, the seam of a loop and sharpness. With
files in --networks, and at least 256 films on both sides: FVD (i3d_torchscript.pt), CD-FVD
(videomae_torchscript.pt), FID, KID and IS (inception-2015-12-05.pt). With --clip: consistency of the
background, and CLIPSIM for films with a caption, in a .txt of the same name. With --subject: consistency of
the subject.
"""


def parser() -> argparse.ArgumentParser:
    """All options."""
    root = argparse.ArgumentParser(
        prog="python -m video_ldm.evaluation",
        description="Numbers for films.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    look = Look()
    root.add_argument(
        "--made", type=Path, required=True, help="films that were made: a folder, with folders in it"
    )
    root.add_argument("--real", type=Path, help="folder of films to compare them with")
    root.add_argument("--out", type=Path, required=True, help="folder for the page and the JSON")
    root.add_argument(
        "--networks",
        type=Path,
        default=Path("models/metrics"),
        help="folder of TorchScript files (%(default)s)",
    )
    root.add_argument("--side", type=int, default=look.side, help="pixels of the shorter side (%(default)s)")
    root.add_argument(
        "--seconds", type=float, default=look.seconds, help="measured of each film (%(default)s)"
    )
    root.add_argument(
        "--clip",
        nargs="+",
        metavar="FILE",
        help="CLIP's file, or its file for pictures and that for texts, for consistency and CLIPSIM: path, "
        "or name in models/clip_vision or models/text_encoders of ComfyUI",
    )
    root.add_argument(
        "--subject",
        metavar="FILE",
        help="DINOv2's file, or CLIP's, for consistency of the subject: path, or name in models/clip_vision",
    )
    root.add_argument("--comfyui", help="folder of ComfyUI (COMFYUI_PATH)")
    root.add_argument("--cpu", action="store_true", help="without the graphics card")
    root.add_argument("--text", action="store_true", help="measure text too, with RapidOCR")
    return root


def run(args: argparse.Namespace) -> None:
    """Measure both folders and write the results."""
    look = Look(args.side, args.seconds, args.text)
    check_writable(args.out / PAGE)  # before what takes long
    paths = {"made": args.made, **({"real": args.real} if args.real else {})}
    remarks: list[str] = []
    networks = _networks(args)
    folders = {side: _measured(folder, look, remarks, networks) for side, folder in paths.items()}
    distances = {}
    if args.real:
        try:
            made, real = (clips_of([paths[s] / film.file for film in folders[s]]) for s in ("made", "real"))
            distances, missing = measure_distances(made, real, args.networks)
            remarks += missing
        except InvalidInputError as error:
            remarks.append(str(error))
    page = write_results(args.out, folders, paths, distances, remarks)
    for said in remarks:
        logger.info("%s", said)
    print(f"{sum(map(len, folders.values()))} films measured; see {page}.")


def _networks(args: argparse.Namespace) -> Networks:
    """Those whose files are given; one that is given twice is opened once."""
    clip = open_network(args.clip, args.comfyui, args.cpu) if args.clip else None
    if args.subject is None or args.clip == [args.subject]:
        return Networks(clip, clip if args.subject else None)
    return Networks(clip, open_network([args.subject], args.comfyui, args.cpu))


def _measured(folder: Path, look: Look, remarks: list[str], networks: Networks) -> list[FilmNumbers]:
    """Numbers of all films of a folder and of those inside it; those that cannot be read become remarks."""
    if not folder.is_dir():
        raise InvalidInputError(f"There is no folder {folder}; give a folder of films.")
    measured = []
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in FILMS):
        try:
            numbers = with_looks(path, measure_film(path, look), look, networks)
            measured.append(replace(numbers, file=path.relative_to(folder).as_posix()))
        except MissingLibraryError:
            raise
        except InvalidInputError as error:
            remarks.append(str(error))
    if not measured:
        kinds = ", ".join(sorted(FILMS))
        raise InvalidInputError(f"The folder {folder} holds no films that can be read ({kinds}).")
    return measured


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; errors of the user are one sentence on stderr and exit status 2."""
    args = parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", force=True)
    logger.setLevel(logging.INFO)
    logging.getLogger("imageio_ffmpeg").setLevel(logging.ERROR)
    return exit_status(lambda: run(args))


if __name__ == "__main__":
    sys.exit(main())
