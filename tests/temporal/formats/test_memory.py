"""Opening a file of layers does not keep two copies of it.

benchmarks/cost/loading.py measures the published size.
"""

from dataclasses import replace

import pytest
from video_ldm.benchmarks.cost import loading
from video_ldm.temporal.stack.plan import SD1

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", loading.KINDS)
def test_the_peak_is_at_most_1_3_times_the_file(tmp_path, kind):
    path, unet = tmp_path / f"layers.{kind}", replace(SD1, model_channels=96)
    loading.write(path.with_stem("smallest"), loading.SMALLEST)
    loading.write(path, unet)
    assert 0.9 < loading.measured(path, unet)["peak_over_file"] < loading.AIM
