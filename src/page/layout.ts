/**
 * Where the ports stand around the switch: in a ring, those of a kind beside each other; two rings when they are many.
 */

export const WIDTH = 640
export const HEIGHT = 420
/** More would be dots on dots; the table has them all. */
export const MOST_SHOWN = 48

export interface Place<Item> {
  readonly item: Item
  readonly x: number
  readonly y: number
}

/** At most MOST_SHOWN of them, sorted by kind and then as given. */
export function placesOf<Item extends { readonly kind: string }>(items: readonly Item[]): Place<Item>[] {
  const sorted = items.toSorted((a, b) => (a.kind < b.kind ? -1 : a.kind > b.kind ? 1 : 0)).slice(0, MOST_SHOWN)
  const isCrowded = sorted.length > 20
  return sorted.map((item, i) => {
    const angle = (2 * Math.PI * i) / sorted.length + Math.PI
    const reach = isCrowded && i % 2 === 1 ? 0.68 : 1
    return {
      item,
      x: WIDTH / 2 + Math.cos(angle) * (WIDTH / 2 - 80) * reach,
      y: HEIGHT / 2 + Math.sin(angle) * (HEIGHT / 2 - 60) * reach,
    }
  })
}

/** 0 for nothing, 1 for ten gigabits a second; each tenfold is an eighth more. */
export function heat(bits: number): number {
  return bits < 100 ? 0 : Math.min(1, Math.log10(bits / 100) / 8)
}
