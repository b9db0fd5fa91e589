"""grpclib on trio, for both sides: the ordinary path of the agent protocol.

grpclib's coroutines need asyncio; trio-asyncio provides a loop inside the running trio program. No code outside this
package uses asyncio: a stream is an object with `send` and `recv`, and connections fail with the errors of
`link.errors`.
"""
