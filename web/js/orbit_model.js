// @ts-check
// Which frame of a turn is on show; no DOM here.

const PIXELS_PER_TURN = 300; // of dragging

export class OrbitModel {
  /** @param {number} columns @param {number} frames on one turn, from the front */
  constructor(columns, frames) {
    this.columns = columns;
    this.frames = frames;
    this.turn = 0; // frames, not rounded, so that slow dragging adds up
  }

  get rows() {
    return Math.ceil(this.frames / this.columns);
  }

  /** @returns {number} index of the frame */
  get frame() {
    return ((Math.round(this.turn) % this.frames) + this.frames) % this.frames;
  }

  /** The object follows the hand: to the right is against the turn of the camera. @param {number} pixels */
  drag(pixels) {
    this.turn -= (pixels / PIXELS_PER_TURN) * this.frames;
  }

  /** @param {number} frames */
  advance(frames) {
    this.turn = this.frame + frames;
  }

  get degrees() {
    return Math.round((this.frame / this.frames) * 360);
  }

  /** @returns {{x: number, y: number}} place of the frame as the percentages of CSS background-position */
  get place() {
    const column = this.frame % this.columns;
    const row = Math.floor(this.frame / this.columns);
    return {
      x: this.columns > 1 ? (column / (this.columns - 1)) * 100 : 0,
      y: this.rows > 1 ? (row / (this.rows - 1)) * 100 : 0,
    };
  }
}
