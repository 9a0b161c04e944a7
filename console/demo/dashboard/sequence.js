// A Sequence checks numbers that are published as 1, 2, 3 …: each against the one
// before it.

export class Sequence {
  first = null; // what it began with
  last = null; // the greatest so far
  received = 0;
  lost = 0; // skipped
  twice = 0; // came again

  // take counts a number. A 1 begins another run of the publisher.
  take(number) {
    this.received++;
    if (number === 1) this.last = null;
    if (this.last !== null && number <= this.last) this.twice++;
    else if (this.last !== null) this.lost += number - this.last - 1;
    this.first ??= number;
    this.last = Math.max(number, this.last ?? 0);
  }

  // restart is for what is known to be another publisher's.
  restart() {
    this.last = null;
  }
}
