"""Which of these tests there can be: those of an image need an engine and its base images, which no package brings."""

import shutil

from tests.conftest import IN_CI
from tests.support.images import base_images, in_stock

collect_ignore = []
# .ci/run installs it. Elsewhere nobody has to have it.
if shutil.which("haproxy") is None and not IN_CI:
    collect_ignore.append("test_load_balancer.py")
if not all(map(in_stock, base_images().values())):
    collect_ignore.append("test_image.py")
