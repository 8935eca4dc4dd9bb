"""HTTP/2 by hand, for what no gRPC client would do: streams opened and reset, floods of pings."""

import socket

import h2.config
import h2.connection
import h2.events

SEND_MAIL = "/hikyaku.v1.MailService/SendMail"


class Http2:
    """A connection that sends frames in bulk. `address` is "host:port"."""

    def __init__(self, address, timeout=30):
        host, port = address.rsplit(":", 1)
        self.authority, self.timeout = address, timeout
        self.socket = socket.create_connection((host, int(port)), timeout=timeout)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, validate_outbound_headers=False,
                                                                       validate_inbound_headers=False))
        self.h2.initiate_connection()
        self.goaway = None  # The error code of a GOAWAY.
        self.refused = 0    # Streams that the server reset with REFUSED_STREAM.
        self.limit = None   # SETTINGS_MAX_CONCURRENT_STREAMS, once it is known.
        self.broken = False
        self.ended = {}     # Stream → grpc-status of its trailers, or None where it was reset.
        self.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def headers(self, path=SEND_MAIL, extra=()):
        return [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", self.authority),
                ("content-type", "application/grpc"), ("te", "trailers"), *extra]

    def open_stream(self, end=False, **options):
        """HEADERS of a new call; its id."""
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, self.headers(**options), end_stream=end)
        return stream

    def send(self, stream, data, end=False):
        """DATA as far as the windows are open, reading what comes meanwhile. False: the stream or the server has gone."""
        data = memoryview(data)
        while len(data) and not self.broken and stream not in self.ended:
            room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size, len(data))
            if room == 0:
                self.flush()
                self.read(1)
                continue
            self.h2.send_data(stream, data[:room].tobytes())
            data = data[room:]
            if len(data) % (1 << 20) < room:
                self.flush()
                self.read(0)
        if end and not self.broken and stream not in self.ended:
            self.h2.end_stream(stream)
        return self.flush() and stream not in self.ended

    def flush(self):
        """Sends what was prepared. False: the server has gone."""
        try:
            self.socket.sendall(self.h2.data_to_send())
        except OSError:
            self.broken = True
        return not self.broken

    def read(self, timeout):
        """Takes in what comes within `timeout` seconds, once. False: the server has gone."""
        self.socket.settimeout(timeout)
        try:
            data = self.socket.recv(1 << 20)
        except (TimeoutError, BlockingIOError):
            return True
        except OSError:
            data = b""
        finally:
            self.socket.settimeout(self.timeout)
        if not data:
            self.broken = True
            return False
        for event in self.h2.receive_data(data):
            self.take(event)
        return True

    def take(self, event):
        if isinstance(event, h2.events.ConnectionTerminated):
            self.goaway = event.error_code
        elif isinstance(event, h2.events.StreamReset):
            self.refused += event.error_code == 7
            self.ended.setdefault(event.stream_id, None)
        elif isinstance(event, (h2.events.TrailersReceived, h2.events.ResponseReceived)):
            status = [value for name, value in event.headers if name in (b"grpc-status", "grpc-status")]
            if status:
                self.ended[event.stream_id] = int(status[0])
        elif isinstance(event, h2.events.DataReceived):
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.RemoteSettingsChanged):
            changed = event.changed_settings.get(3)
            self.limit = changed.new_value if changed else self.limit
