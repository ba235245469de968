"""List of every node of the pack.

Ids and input names are frozen, saved graphs depend on them.
"""

from .decode import TemporalVAEDecode
from .extend import ExtendVideo
from .frame_rate import EmptyClip, FrameRate
from .guidance_schedule import GuidanceSchedule
from .guide import VideoGuiderNode
from .host import ComfyExtension, Node
from .host.files import register_folders
from .host.graphs.server import offer_replacements, open_doors
from .image_motion import ImageMotion
from .image_prompt import ImagePrompt
from .initial_noise import InitialNoise
from .interpolate import LatentInterpolate
from .known import KnownFramesNode
from .load import LoadMotionLora, LoadTemporalDecoder, LoadTemporalLayers
from .load_video import LoadVideoFrames
from .motion_strength import MotionStrength
from .preview_clip import PreviewClip
from .prompt import MotionPromptEncode
from .prompt_schedule import PromptSchedule
from .render import RenderVideo, VideoFromLatents
from .sample import VideoKSampler
from .sparse_control import LoadSparseControl
from .train_decoder import TrainTemporalDecoder
from .train_motion_lora import TrainMotionLora
from .train_temporal_layers import TrainTemporalLayers
from .train_upscaler import TrainVideoUpscaler
from .upscale import LoadVideoUpscaler, VideoUpscale
from .upscale_x4 import VideoUpscaleDiffusion
from .value_schedule import ValueSchedule
from .video_dataset import VideoDataset
from .video_metrics import VideoMetrics
from .video_model import LoadVideoModel
from .windows import VideoWindows

NODES: tuple[type[Node], ...] = (
    LoadVideoModel,
    LoadTemporalLayers,
    LoadMotionLora,
    LoadSparseControl,
    LoadTemporalDecoder,
    MotionStrength,
    VideoWindows,
    InitialNoise,
    GuidanceSchedule,
    ValueSchedule,
    MotionPromptEncode,
    PromptSchedule,
    EmptyClip,
    LoadVideoFrames,
    FrameRate,
    KnownFramesNode,
    ImageMotion,
    ImagePrompt,
    VideoKSampler,
    VideoGuiderNode,
    LatentInterpolate,
    ExtendVideo,
    TemporalVAEDecode,
    TrainTemporalDecoder,
    LoadVideoUpscaler,
    VideoUpscale,
    VideoUpscaleDiffusion,
    TrainVideoUpscaler,
    VideoDataset,
    TrainTemporalLayers,
    TrainMotionLora,
    PreviewClip,
    RenderVideo,
    VideoFromLatents,
    VideoMetrics,
)


class VideoLDM(ComfyExtension):
    """The pack as the host sees it."""

    async def get_node_list(self) -> list[type[Node]]:
        """Every node, in menu order; the model folders exist from here on."""
        register_folders()
        open_doors()
        await offer_replacements()
        return list(NODES)
