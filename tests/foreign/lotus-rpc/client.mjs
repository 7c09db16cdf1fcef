// A node's methods through the client that Lotus's makers wrote, by POST and over a WebSocket; prints what came as JSON, a line each.
// Arguments: HOST:PORT, a token, the id of a peer, and a height.
import { NodejsProvider } from '@filecoin-shipyard/lotus-client-provider-nodejs'
import { LotusRPC } from '@filecoin-shipyard/lotus-client-rpc'
import { mainnet } from '@filecoin-shipyard/lotus-client-schema'

const [address, token, peer, height] = process.argv.slice(2)

async function refusal (call) {
  try {
    await call()
    return null
  } catch (error) {
    return error.message
  }
}

for (const scheme of ['http', 'ws']) {
  const provider = new NodejsProvider(`${scheme}://${address}/rpc/v0`, { token })
  const client = new LotusRPC(provider, { schema: mainnet.fullNode })
  const head = await client.chainHead()
  const [block] = head.Cids
  const messages = await client.chainGetBlockMessages(block)
  const told = {
    scheme,
    version: await client.version(),
    head,
    tipset: await client.chainGetTipSet(head.Cids),
    atHeight: await client.chainGetTipSetByHeight(Number(height), head.Cids),
    genesis: await client.chainGetGenesis(),
    block: await client.chainGetBlock(block),
    messages,
    message: await client.chainGetMessage(messages.Cids[0]),
    parentMessages: await client.chainGetParentMessages(block),
    object: await client.chainReadObj(block),
    has: await client.chainHasObj(block),
    networkName: await client.stateNetworkName(),
    id: await client.ID(),
    listen: await client.netAddrsListen(),
    connectedness: await client.netConnectedness(peer),
    levels: await client.authVerify(token),
    sync: await client.syncState(),
    noState: await refusal(() => client.stateGetActor('f02', head.Cids)),
    noMethod: await refusal(() => client.walletList())
  }
  if (scheme === 'ws') {
    const first = await new Promise((resolve, reject) => {
      const [cancel, opened] = client.chainNotify(changes => resolve({ cancel, changes }))
      opened.catch(reject)
    })
    told.changes = first.changes
    // Ends once the node has said that the channel is closed.
    await first.cancel()
  }
  console.log(JSON.stringify(told))
  await client.destroy()
}
