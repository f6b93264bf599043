// Why a change cannot be used.

/** Its message is the reason that stands in the dead letter, as it is: without the name of the error or the place in the code. */
export class Rejection extends Error {
  name = "Rejection";
}

export function reject(reason) {
  throw new Rejection(reason);
}
