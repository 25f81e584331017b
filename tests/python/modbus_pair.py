"""A pymodbus server or client for tests/python.rs: `server` serves on the OT host, `client N` sends N reads and N writes."""
import sys

sys.path.insert(0, sys.argv[1])

if sys.argv[2] == "server":
    from pymodbus.server import StartTcpServer
    from pymodbus.simulator import DataType, SimData, SimDevice

    device = SimDevice(1, simdata=[SimData(0, count=200, values=7, datatype=DataType.REGISTERS)])
    StartTcpServer([device], address=("0.0.0.0", 502))
else:
    from pymodbus.client import ModbusTcpClient

    client = ModbusTcpClient("10.77.0.2", port=502)
    assert client.connect()
    for i in range(int(sys.argv[3])):
        assert not client.read_holding_registers(10, count=4, device_id=1).isError()
        assert not client.write_register(100, i, device_id=1).isError()
    client.close()
