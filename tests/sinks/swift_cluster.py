"""OpenStack Swift in one process: account, container and object server, and the proxy that speaks S3.

Run as a program: ``python swift_cluster.py FOLDER PORT``. It serves until it is ended.
"""

from __future__ import annotations

import sys
import warnings

warnings.simplefilter("ignore")

import eventlet  # noqa: E402 - it warns of itself

eventlet.monkey_patch(os=False, thread=False)

from pathlib import Path  # noqa: E402 - what is imported from here on has to be patched
from typing import Any  # noqa: E402 - as above

import eventlet.wsgi  # noqa: E402 - as above
from swift.account.server import AccountController  # noqa: E402 - as above
from swift.common import utils  # noqa: E402 - as above
from swift.common.http_protocol import SwiftHttpProtocol  # noqa: E402 - as above
from swift.common.ring import RingBuilder  # noqa: E402 - as above
from swift.common.wsgi import loadapp  # noqa: E402 - as above
from swift.container.server import ContainerController  # noqa: E402 - as above
from swift.obj.server import ObjectController  # noqa: E402 - as above

STORES = {"account": AccountController, "container": ContainerController, "object": ObjectController}
PROXY = """
[DEFAULT]
swift_dir = {folder}
log_level = ERROR
[pipeline:main]
pipeline = catch_errors gatekeeper listing_formats s3api tempauth bulk slo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
[filter:tempauth]
use = egg:swift#tempauth
user_test_owner = owning .admin
user_test_stranger = looking
[filter:bulk]
use = egg:swift#bulk
[filter:slo]
use = egg:swift#slo
"""
"""``test:owner`` may do everything, ``test:stranger`` nothing."""


def main(folder: Path, port: int) -> None:
    """Serve."""
    utils.HASH_PATH_SUFFIX, utils.HASH_PATH_PREFIX = b"of these tests", b""
    (folder / "devices" / "disk").mkdir(parents=True)
    settings = {"swift_dir": str(folder), "devices": str(folder / "devices"), "mount_check": "false"}
    for name, server in STORES.items():
        listener = eventlet.listen(("127.0.0.1", 0))
        make_ring(folder / f"{name}.ring.gz", listener.getsockname()[1])
        eventlet.spawn(serve, listener, server({**settings, "fallocate_reserve": "0", "log_level": "ERROR"}))
    configuration = folder / "proxy.conf"
    configuration.write_text(PROXY.format(folder=folder))
    serve(eventlet.listen(("127.0.0.1", port)), loadapp(str(configuration)))


def make_ring(path: Path, port: int) -> None:
    """Write which server holds what: the one at ``port`` holds all."""
    ring = RingBuilder(1, 1, 0)
    ring.add_dev({"region": 1, "zone": 1, "ip": "127.0.0.1", "port": port, "device": "disk", "weight": 1})
    ring.rebalance()
    ring.get_ring().save(str(path))


def serve(listener: Any, application: Any) -> None:
    """Answer requests."""
    eventlet.wsgi.server(listener, application, log=utils.NullLogger(), protocol=SwiftHttpProtocol)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
