/** The page of a sidecar, loaded when somebody opens it. */
import type { Sidecar } from "../../loader/sidecar/sidecar.ts";
import type { Handler } from "./routes.ts";

type LoadRoutes = () => Promise<ReadonlyMap<string, Handler>>;

export function sidecarPage(sidecar: Sidecar): LoadRoutes {
  let routes: ReturnType<LoadRoutes> | undefined;
  return () => {
    routes ??= import("./routes.ts").then(({ pageRoutes }) =>
      pageRoutes({
        readStatus: (each) => sidecar.status(each),
        readEvents: (after) => sidecar.events.read(after),
      }),
    );
    return routes;
  };
}
