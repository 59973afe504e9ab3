import type { Bindings } from "./modules.js";

type CancelToken = InstanceType<Bindings["CancelToken"]>;

/** The page's request to end a call. It outlives the module that the call runs on, and cancels that module's token. */
export class Stop {
  private isRaised = false;
  private token: CancelToken | undefined;

  raise(): void {
    this.isRaised = true;
    this.token?.cancel();
  }

  /** Runs work with a token of the module. */
  async during<T>({ CancelToken }: Bindings, work: (token: CancelToken) => Promise<T>): Promise<T> {
    const token = new CancelToken();
    if (this.isRaised) token.cancel();
    this.token = token;
    try {
      return await work(token);
    } finally {
      this.token = undefined;
      token.free();
    }
  }
}
