"""`netboot-appliance` that does not put exports in force again by itself: a fault that a test plants in them stays. Run
it as a script, with the program's own arguments."""

from appliance.cli.main import run
from appliance.server import export_task

if __name__ == "__main__":
    export_task.LOOK_SECONDS = 3600.0
    run()
