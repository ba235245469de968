"""Reports where keys do not tell the family, on models that are taken apart, and on motion LoRAs."""

import pytest
from video_ldm.temporal import formats
from video_ldm.temporal.formats import inside, keys, lvdm, motion_modules
from video_ldm.temporal.formats.motion_lora import read_motion_lora, report_lora
from video_ldm.temporal.layers.motion import MotionConfig
from video_ldm.temporal.stack.plan import SD1
from video_ldm.temporal.stack.stack import StackConfig, TemporalStack
from video_ldm.temporal.weights.files import WeightsFile

from .test_listings import opened, opened_model, published, same_keys_and_shapes

pytestmark = pytest.mark.slow

CONVERT = 'convert the file with python -m video_ldm.formats convert IN OUT --family "{}".'
LCM = f"If this is AnimateLCM, set schedule to lcm_sqrt_linear, or {CONVERT.format('AnimateLCM')}"
V1 = f"If this is AnimateDiff v1, {CONVERT.format('AnimateDiff v1')}"
DOUBTS = {  # file, whether it has position tables: the family it is taken for, the other one, what to do
    ("diffusers_motion_adapter_v2", False): ("AnimateDiff v2", "AnimateLCM", LCM),
    ("diffusers_motion_adapter_v2", True): ("AnimateDiff v2", "AnimateLCM", LCM),
    ("diffusers_unet_motion_model_sd15_v2", True): ("AnimateDiff v2", "AnimateLCM", LCM),
    ("diffusers_motion_adapter_v1", False): ("AnimateDiff v3", "AnimateDiff v1", V1),
    ("diffusers_motion_adapter_v3", True): ("AnimateDiff v3", "AnimateDiff v1", V1),
}
SURE = (
    "diffusers_motion_adapter_v1",
    "diffusers_motion_adapter_sdxl",
    "animatediff_v2",
    "animatelcm_t2v",
    "pia",
)


@pytest.fixture(autouse=True)
def unread(monkeypatch):
    """Names and shapes are looked at, half a billion zeros are not."""
    for module in (motion_modules, inside, lvdm):
        monkeypatch.setattr(module, "assign_weights", same_keys_and_shapes)
    monkeypatch.setattr(keys, "check_numbers", lambda *_: None)


def adapter(name: str, tables: bool, **metadata: str) -> WeightsFile:
    file = published(name)
    kept = {key: value for key, value in file.tensors.items() if tables or not key.endswith(".pe")}
    return WeightsFile(file.path, metadata, kept)


@pytest.mark.parametrize("case", DOUBTS)
def test_a_layout_that_two_families_have_is_noted(monkeypatch, case):
    family, _, note = DOUBTS[case]
    lines = formats.report(*opened(monkeypatch, adapter(*case))).splitlines()
    assert lines[0].startswith(f"{family} (diffusers file)")
    assert lines[-1].startswith("Note: ") and lines[-1].endswith(note)


@pytest.mark.parametrize("case", DOUBTS)
def test_a_file_that_names_its_family_is_believed_without_a_note(monkeypatch, case):
    for family in DOUBTS[case][:2]:
        file = adapter(*case, **{motion_modules.FAMILY_KEY: family})
        stack, source = opened(monkeypatch, file)
        assert (stack.config.family, source.note) == (family, "")


@pytest.mark.parametrize("name", SURE)
def test_a_layout_of_one_family_has_no_note(monkeypatch, name):
    assert "Note:" not in formats.report(*opened(monkeypatch, published(name)))


@pytest.mark.parametrize(
    ("name", "scale"),
    [("videocrafter2_t2v", "0.7"), ("videocrafter1_t2v_512", None)],
)
def test_only_a_whole_model_is_said_to_scale_its_clean_latents(monkeypatch, name, scale):
    whole = formats.report_model(opened_model(monkeypatch, published(name)))
    apart = formats.report(*opened(monkeypatch, published(name)))
    assert ("clean latents scaled to" in whole) == (scale is not None)
    schedule, note = (
        next(line for line in apart.splitlines() if line.startswith(s)) for s in ("Noise", "Experiment")
    )
    assert "scaled" not in schedule
    assert ("scaled" in note) == (scale is not None)
    assert scale is None or f"clean latents scaled to {scale}, which only Load Video Model does." in note


@pytest.mark.parametrize(
    ("name", "spelling"), [("animatediff_motion_lora", "original"), ("diffusers_motion_lora", "diffusers")]
)
def test_the_report_of_a_motion_lora_counts_every_key(name, spelling):
    file = published(name)
    for family, middle, counted in (
        ("AnimateDiff v2", True, "Layers: 168 changed|Keys: 336 used"),
        (
            "AnimateDiff v3",
            False,
            "Layers: 160 changed|Keys: 320 used, 16 of a middle block that the layers lack (not used)",
        ),
    ):
        motion = MotionConfig(middle, False, False)
        config = StackConfig(SD1, "SD 1.x", 32, False, False, family=family, motion=motion)
        stack = TemporalStack(config, device="meta")
        lines = report_lora(read_motion_lora(file, stack), stack).splitlines()
        assert lines[0].startswith(f"Motion LoRA ({spelling} file), rank 64, ")
        assert lines[0].endswith(f" M weights, on {family}")
        assert "Licence: that of its publisher; AnimateDiff's own: Apache-2.0" in lines[2]
        assert [lines[1], lines[3]] == counted.split("|")


def test_a_family_of_another_base_in_the_metadata_is_not_believed(monkeypatch):
    file = adapter(
        "diffusers_motion_adapter_v2", True, **{motion_modules.FAMILY_KEY: "AnimateDiff SDXL beta"}
    )
    assert opened(monkeypatch, file)[0].config.family == "AnimateDiff v2"
