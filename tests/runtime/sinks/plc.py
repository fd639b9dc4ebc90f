"""A controller on loopback: pymodbus's own server in a thread, and a second client that looks at it."""

import asyncio
import threading

from pymodbus.client import ModbusTcpClient
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice


class Plc:
    """Coils and holding registers 0 to 63, all 0 at each start.

    Attributes:
        port: it listens on, the same after a start anew.
    """

    def __init__(self, registers=64):
        self.port, self._registers = 0, registers
        self.start()

    def start(self):
        up = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(up)), daemon=True)
        self._thread.start()
        assert up.wait(60)
        self._client = ModbusTcpClient("127.0.0.1", port=self.port, timeout=60)
        assert self._client.connect()

    async def _serve(self, up):
        bits = [SimData(0, values=[False] * 64, datatype=DataType.BITS)]
        words = [SimData(0, values=[0] * self._registers, datatype=DataType.REGISTERS)]
        spare = [SimData(0, values=[0], datatype=DataType.REGISTERS)]
        device = SimDevice(1, ([*bits], [SimData(0, values=[False], datatype=DataType.BITS)], words, spare))
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        self._server = ModbusTcpServer(device, address=("127.0.0.1", self.port))
        await self._server.serve_forever(background=True)
        self.port = self._server.transport.sockets[0].getsockname()[1]
        up.set()
        await self._over.wait()
        await self._server.shutdown()

    def stop(self):
        self._client.close()
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(60)

    def registers(self, place=0, count=7):
        return self._client.read_holding_registers(place, count=count).registers

    def coils(self, place=0):
        return self._client.read_coils(place, count=3).bits[:3]

    def set(self, place, value):
        assert not self._client.write_register(place, value).isError()
