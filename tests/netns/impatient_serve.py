"""`netboot-appliance` for which a PC is silent after seconds: run it as a script, with the program's own arguments."""

from appliance.cli.main import run
from appliance.exports import ownership
from appliance.server import export_task

if __name__ == "__main__":
    ownership.ALIVE_SECONDS = 4.0
    ownership.REQUEST_SECONDS = 4.0
    export_task.LOOK_SECONDS = 1.0
    run()
