"""Serves moto, an engine of DynamoDB's API, one request at a time: serve_moto.py HOST PORT

`moto_server` answers requests on many threads, and moto checks a condition and writes in two steps: of two
conditional writes at once both succeed. The service lets one succeed, and what is tested relies on it.
"""

import sys
import threading

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

app = DomainDispatcherApplication(create_backend_app)
turn = threading.Lock()


def one_at_a_time(environ, start_response):
    with turn:
        return [b"".join(app(environ, start_response))]


run_simple(sys.argv[1], int(sys.argv[2]), one_at_a_time, threaded=True)
