"""Serves one of OpenStack's WSGI applications: wsgi.py MODULE:APPLICATION ADDRESS PORT PROGRAM [CONFIG…]

The applications read the arguments of the process while they are imported: these are replaced by those that they expect.
"""
import importlib
import sys

from gunicorn.app.base import BaseApplication

application, address, port, program, *configs = sys.argv[1:]
arguments = [program]
for config in configs:
    arguments += ["--config-file", config]


class Server(BaseApplication):
    def load_config(self):
        settings = {
            "bind": f"{address}:{port}",
            "proc_name": program,
            "workers": 1,
            "worker_class": "gthread",
            "threads": 8,
            "timeout": 600,
            "graceful_timeout": 2,
            "keepalive": 75,
            # Nova asks Neutron for the ports of 150 servers in one line.
            "limit_request_line": 0,
            "control_socket_disable": True,
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self):
        sys.argv = arguments
        module, name = application.split(":")
        return getattr(importlib.import_module(module), name)


Server().run()
