/**
 * Keeps every handshake with one port half open: an nftables rule drops all packets to it except
 * SYNs. The client is connected (the SYN-ACK reaches it) and retransmits, so the handshake
 * completes once the rule is removed. To release handshakes in batches, see load/half_open.ts.
 */
import { execFileSync } from "node:child_process";

/** Adds the rule; returns a function that removes it, and does nothing if called again. */
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
