/** What `--help` prints: every variable, with its default in parentheses. */
export const USAGE = `Usage: node examples/proxy/main.ts

Serves videos from the engines of an AceStream orchestrator: GET /ace/getstream?id=… as MPEG-TS, and /ace/manifest.m3u8?id=… as HLS. Instead of id:
infohash, url or magnet. alt names alternatives, which are played if the content is dead: ?id=A&alt=B. Configured by environment variables.
Variables of the Go proxy:

  ACEXY_LISTEN_ADDR             address to listen on (:8080); its other name is ACEXY_ADDR
  ACEXY_ORCH_URL                URL of the orchestrator; without it ACEXY_HOST:ACEXY_PORT is the only engine
  ACEXY_ORCH_APIKEY             API key of the orchestrator
  ACEXY_MAX_STREAMS_PER_ENGINE  maximum number of streams per engine (1)
  ACEXY_CONTAINER_ID            name of this proxy (a random id)
  ACEXY_HOST, ACEXY_PORT        the engine without an orchestrator (localhost, 6878); if set, also the fallback engine
  ACEXY_SCHEME                  scheme of the engines, http or https (http)
  ACEXY_NO_RESPONSE_TIMEOUT     time limit for an engine's response, and again for its first bytes (10s)
  ACEXY_EMPTY_TIMEOUT           time limit for a stream that sends nothing (1m)
  ACEXY_M3U8                    true: all paths of a content answer with HLS, not only /ace/manifest.m3u8 (false)
  ACEXY_M3U8_STREAM_TIMEOUT     how long an HLS session continues without requests (30s)
  ACEXY_LOG_LEVEL               DEBUG, INFO, WARN or ERROR (INFO)

Variables of this proxy:

  ACEXY_ENGINE_HOST             host at which every engine is reached, for a proxy outside the orchestrator's network
  ACEXY_CAPACITY_TIMEOUT        how long a viewer waits for a slot; 0: not at all (30s)
  ACEXY_LINGER                  how long a stream continues after its last viewer has left; 0: not at all (5s)
  ACEXY_SLOW_VIEWER_TIMEOUT     how long a viewer may read more slowly than the video arrives; then it is dropped (30s)
  ACEXY_SHUTDOWN_TIMEOUT        time from SIGTERM to the exit; viewers may watch until 5s before it (10s)
  ACEXY_BASE_PATH               path before all paths of this proxy, such as /tv (none)
  ACEXY_TRUST_PROXY             true: the viewer's address is that of X-Forwarded-For, which a reverse proxy sets (false)
  ACEXY_STATUS_DETAILS          true: the status page at / shows keys of contents and addresses of viewers (false)
  ACEXY_STORE                   sqlite:/path/to/file: after a crash the next start ends the old streams; redis://host:port: proxies share
                                the limit, and end the streams of a proxy that died; ?name=fleet: only proxies of this name share
  ACEXY_STORE_TTL               a proxy of a fleet counts as dead after it was silent for this time (15s); the same for the whole fleet
`
