"""A Snap7 server or client for tests/python.rs: `server` serves on the OT host, `client N` sends N reads and N writes."""
import ctypes
import sys
import time

sys.path.insert(0, sys.argv[1])
import snap7

if sys.argv[2] == "server":
    from snap7.server import Server

    server = Server(log=False)
    block = (ctypes.c_uint8 * 256)()
    server.register_area(5, 1, block)
    server.start(102)
    time.sleep(600)
else:
    client = snap7.client.Client()
    client.connect("10.77.0.2", 0, 1)
    for i in range(int(sys.argv[3])):
        client.db_read(1, 0, 8)
        client.db_write(1, 8, bytearray([i % 256]))
    client.disconnect()
