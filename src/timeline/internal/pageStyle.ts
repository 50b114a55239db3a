/** How a page lays out what is drawn. Fixed text: the page's policy allows this very style and no other. */
import * as Shapes from "./shapes.ts"

/** Twice as wide at every level. */
export const zoomLevels = 7

const levels = Array.from(
  { length: zoomLevels },
  (_, level) => `[data-level="${level}"] .ticks-${level}{display:inline}`
).join("\n")

export const style = `${Shapes.style}
:root{color-scheme:light dark}
*{box-sizing:border-box}
body{margin:0;height:100dvh;display:flex;flex-direction:column;background:var(--paper);font-size:13px;line-height:1.45}
.definitions{position:absolute}
header{padding:14px 18px 10px;display:grid;grid-template-columns:1fr auto;gap:4px 16px;border-bottom:1px solid var(--line)}
h1{font-size:17px;margin:0;overflow-wrap:anywhere}
.summary{margin:0;color:var(--dim);grid-column:1}
.zoom{grid-column:2;grid-row:1/span 2;align-self:center;display:flex;gap:4px;align-items:center}
.zoom[hidden]{display:none}
.zoom output{min-width:4.5em;text-align:center;color:var(--dim)}
button{font:inherit;color:var(--ink);background:var(--band);border:1px solid var(--line);border-radius:6px;min-width:30px;min-height:28px;padding:0 8px;cursor:pointer}
.legend{grid-column:1/-1;list-style:none;margin:4px 0 0;padding:0;display:flex;flex-wrap:wrap;gap:2px 14px;color:var(--dim);font-size:12px}
.legend li{display:flex;align-items:center;gap:4px}
.chart{flex:1;overflow:auto;--label:min(400px,45vw);--left:8px;--right:44px;scroll-padding:60px 60px 20px calc(var(--label) + 10px);outline-offset:-2px}
.canvas{position:relative;min-height:100%;width:calc(var(--label) + (100% - var(--label)) * var(--zoom,1));min-width:calc(var(--label) + 320px);padding-bottom:12px}
.axis{position:sticky;top:0;z-index:4;display:flex;background:var(--paper);border-bottom:1px solid var(--line)}
.axis .label{align-items:flex-end;padding-bottom:6px}
.heading{position:sticky;left:0;z-index:1;width:min(100vw,100%);padding:10px 18px 4px;background:var(--paper);overflow-wrap:anywhere}
.heading span{color:var(--dim);margin-left:8px}
.rows{position:relative}
.lane{display:flex;background:var(--paper)}
.lane:nth-child(even){background:var(--band)}
.label{position:sticky;left:0;z-index:3;flex:none;width:var(--label);display:flex;align-items:center;gap:7px;padding:0 10px 0 18px;background:inherit;border-right:1px solid var(--line);white-space:nowrap;line-height:1}
.label svg{flex:none}
.number{color:var(--dim);min-width:2.2em;text-align:right}
.label .name{flex:1;overflow:hidden;text-overflow:ellipsis;unicode-bidi:isolate;line-height:1.3}
.took{color:var(--dim);min-width:5em;text-align:right}
.close .label{font-size:12px}
.tight .label{font-size:10.5px}
.plot{flex:1;min-width:0;margin:0 var(--right) 0 var(--left);overflow:visible;display:block}
.lane .plot{position:relative;z-index:1}
.under,.over{position:absolute;top:0;left:calc(var(--label) + var(--left));width:calc(100% - var(--label) - var(--left) - var(--right));overflow:visible;pointer-events:none}
.under{z-index:0}
.over{z-index:2}
.ticks{display:none}
${levels}
.label:hover,.lane:hover{background:color-mix(in srgb,var(--focus) 12%,var(--paper))}
[tabindex]:focus{outline:none}
.label:focus-visible,button:focus-visible{outline:2px solid var(--focus);outline-offset:-2px}
.cell:focus-visible .touch,.cell:focus-visible .mark{stroke:var(--focus);stroke-width:2.5}
.cell{cursor:default}
.has-related .arrow{opacity:.2}
.has-related .arrow.related{opacity:1;stroke:var(--focus);stroke-width:2}
.panel{border-top:1px solid var(--line);background:var(--band);padding:8px 18px;min-height:86px;max-height:30vh;overflow:auto;flex:none;overflow-wrap:anywhere}
.panel strong,.panel span{display:block;unicode-bidi:plaintext}
.panel span{color:var(--dim)}
@media (max-width:700px){.took,.label .verdict{display:none}.legend{max-height:16vh;overflow:auto}.canvas{min-width:calc(var(--label) + 480px)}}
@media print{body{height:auto}.chart{overflow:visible}.zoom,.panel{display:none}}
`
