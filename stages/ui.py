"""ui: a page in the browser on which videos are synced."""

import click

from stages.options import Common, common_options
from w2l.cache.store import Cache
from w2l.core.errors import ConfigError
from w2l.ui.server import DEFAULT_PORT, DEFAULT_UPLOAD_GB, PageSettings, is_installed, serve

STAGE = "ui"


@click.command(STAGE)
@click.option("--port", type=int, default=DEFAULT_PORT, show_default=True, help="Port of the page; 0 takes a free one.")
@click.option("--share-with-network", is_flag=True, help="Let other machines open it, with a token in the address.")
@click.option("--upload-limit", type=float, default=DEFAULT_UPLOAD_GB, show_default=True, metavar="GB",
              help="Largest file that a browser may upload.")  # fmt: skip
@common_options
def command(port: int, share_with_network: bool, upload_limit: float, common: Common) -> None:
    """Open a page for the browser: choose faces, preview a second, run jobs.

    Only this machine can open it. Jobs are kept in the cache: they wait in line, survive a reload and a killed server,
    and resume after their last finished part. Requires the extra: pip install 'w2l[ui]'.

    \b
    w2l ui
    w2l ui --port 8000 --share-with-network
    """
    settings = PageSettings(port, share_with_network, upload_limit)
    if not is_installed():
        raise ConfigError("the page needs gradio, which is not installed; run pip install 'w2l[ui]'")
    serve(settings, Cache.open(common.cache, create=True), lambda address: common.show({"address": address}, address))
