"""Image Prompt: a picture beside the text, for video models that are prompted with both."""

from __future__ import annotations

from .host import Node, io
from .host.sampling.image_prompt import with_picture
from .host.search import search_aliases


class ImagePrompt(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VLDM_ImagePrompt",
            display_name="Image Prompt",
            category="Video LDM/conditioning",
            **search_aliases("image to video, img2vid, i2v, clip vision, videocrafter"),
            description="Shows a picture to a video model that is prompted with text and a picture: "
            "VideoCrafter 1 for image to video.",
            inputs=[
                io.Conditioning.Input("positive", tooltip="The text of the clip."),
                io.Conditioning.Input(
                    "negative", tooltip="The text of what it shall not be; its picture is a grey one."
                ),
                io.ClipVision.Input(
                    "clip_vision",
                    tooltip="The image encoder that the model was trained with, from Load CLIP Vision: for "
                    "VideoCrafter 1 CLIP ViT-H/14 (laion2B).",
                ),
                io.Image.Input(
                    "image",
                    tooltip="One picture of any size; the clip will look like it, but need not begin with "
                    "it.",
                ),
            ],
            outputs=[
                io.Conditioning.Output(display_name="positive", tooltip="Text and picture, for the sampler."),
                io.Conditioning.Output(
                    display_name="negative", tooltip="Text and a grey picture, for the sampler."
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        positive: io.Conditioning.Type,
        negative: io.Conditioning.Type,
        clip_vision: io.ClipVision.Type,
        image: io.Image.Type,
    ) -> io.NodeOutput:
        return io.NodeOutput(*with_picture(clip_vision, positive, negative, image))
