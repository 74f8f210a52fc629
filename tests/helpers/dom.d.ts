/**
 * What the types of playwright-core name of the DOM: tests evaluate text in the page, and have no
 * elements of it.
 */
type Node = object;
interface HTMLElement extends Node {}
interface SVGElement extends Node {}
type HTMLElementTagNameMap = object;
