"""grpclib on trio, both sides: the plain path of the agent protocol.

grpclib's coroutines need asyncio; trio-asyncio gives them a loop inside the running trio program. Nobody outside this
package meets asyncio: a stream is an object with `send` and `recv`, connections fail with the errors of `link.errors`.
"""
