"""``python -m pipeline``."""

from pipeline.tools.environment import prepare

prepare()  # before anything imports Ray

from pipeline.cli import main  # noqa: E402

main()
