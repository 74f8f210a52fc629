/**
 * Holds handshakes half open: an nftables rule on the input hook loses every
 * packet to one port but SYNs, as a network would. The client believes it is
 * connected (the SYN-ACK reaches it) and goes on retransmitting, so that the
 * handshake completes by itself once the rule is gone.
 */
import { execFileSync } from "node:child_process";

/** Starts holding; the result ends it and may be called again. */
export function holdHandshakes(port: number): () => void {
  const table = `reuseport_migrate_test_${port}`;
  nft(`table inet ${table} {
    chain input {
      type filter hook input priority 0
      tcp dport ${port} tcp flags & syn == 0 drop
    }
  }`);
  let held = true;
  return () => {
    if (held) nft(`delete table inet ${table}`);
    held = false;
  };
}

function nft(rules: string): void {
  execFileSync("nft", ["-f", "-"], { input: rules });
}
