"""`python -m trainables.data`: look at telemetry and bring it into shape; one sub-command a module."""

import typer

from trainables.data import convert
from trainables.data.download import command as download
from trainables.data.inspection import command as inspection

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def data() -> None:
    """Look at telemetry, and bring it into the canonical table, before you run anything on it."""


app.command("convert", help=convert.HELP)(convert.convert)
app.command("fetch")(download.fetch)
app.command("inspect")(inspection.inspect)

if __name__ == "__main__":
    app()
