"""What an HTML body may be made of: all that newsletters are, and nothing that acts, asks or fetches by itself."""

TAGS = frozenset((
    "a", "abbr", "acronym", "address", "area", "article", "aside", "b", "bdi", "bdo", "big", "blockquote", "br",
    "caption", "center", "cite", "code", "col", "colgroup", "dd", "del", "details", "dfn", "dir", "div", "dl", "dt",
    "em", "figcaption", "figure", "font", "footer", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hgroup", "hr", "i",
    "img", "ins", "kbd", "li", "main", "map", "mark", "menu", "nav", "nobr", "ol", "p", "picture", "pre", "q", "rp",
    "rt", "ruby", "s", "samp", "section", "small", "source", "span", "strike", "strong", "sub", "summary", "sup",
    "table", "tbody", "td", "tfoot", "th", "thead", "time", "tr", "tt", "u", "ul", "var", "wbr",
))  # fmt: skip
WITHOUT_CONTENT = frozenset((
    "script", "style", "title", "svg", "math", "template", "noscript", "noembed", "noframes", "iframe", "object",
    "applet", "textarea", "select", "audio", "canvas",
))  # fmt: skip
# Of these, what shows its text to a reader without scripts, or to one that does not know it.
WITH_TEXT = frozenset((
    "svg", "math", "noscript", "object", "applet", "textarea", "select", "audio", "canvas",
))  # fmt: skip
ATTRIBUTES = frozenset((
    "abbr", "align", "alt", "axis", "background", "bgcolor", "border", "bordercolor", "cellpadding", "cellspacing",
    "char", "class", "clear", "color", "colspan", "compact", "coords", "dir", "face", "headers", "height", "hspace",
    "id", "lang", "media", "name", "noshade", "nowrap", "open", "reversed", "role", "rowspan", "rules", "scope",
    "shape", "size", "sizes", "span", "src", "srcset", "start", "style", "summary", "title", "type", "usemap",
    "valign", "value", "vspace", "width",
))  # fmt: skip
PROPERTIES = frozenset((
    "align-content", "align-items", "align-self", "background", "background-attachment", "background-clip",
    "background-color", "background-image", "background-origin", "background-position", "background-repeat",
    "background-size", "border", "border-bottom", "border-bottom-color", "border-bottom-left-radius",
    "border-bottom-right-radius", "border-bottom-style", "border-bottom-width", "border-collapse", "border-color",
    "border-left", "border-left-color", "border-left-style", "border-left-width", "border-radius", "border-right",
    "border-right-color", "border-right-style", "border-right-width", "border-spacing", "border-style", "border-top",
    "border-top-color", "border-top-left-radius", "border-top-right-radius", "border-top-style", "border-top-width",
    "border-width", "box-shadow", "box-sizing", "caption-side", "clear", "color", "color-scheme", "column-gap",
    "columns", "direction", "display", "empty-cells", "flex", "flex-basis", "flex-direction", "flex-flow",
    "flex-grow", "flex-shrink", "flex-wrap", "float", "font", "font-family", "font-size", "font-stretch",
    "font-style", "font-variant", "font-weight", "gap", "grid-template-columns", "height", "hyphens",
    "justify-content", "letter-spacing", "line-break", "line-height", "list-style", "list-style-image",
    "list-style-position", "list-style-type", "margin", "margin-bottom", "margin-left", "margin-right", "margin-top",
    "max-height", "max-width", "min-height", "min-width", "object-fit", "opacity", "order", "outline", "overflow",
    "overflow-wrap", "overflow-x", "overflow-y", "padding", "padding-bottom", "padding-left", "padding-right",
    "padding-top", "page-break-after", "page-break-before", "row-gap", "table-layout", "text-align",
    "text-decoration", "text-decoration-color", "text-decoration-line", "text-indent", "text-overflow", "text-shadow",
    "text-transform", "unicode-bidi", "vertical-align", "visibility", "white-space", "width", "word-break",
    "word-spacing", "word-wrap", "-webkit-text-size-adjust", "-ms-text-size-adjust",
))  # fmt: skip
SCHEMES = frozenset((
    "http", "https", "mailto", "tel", "cid", "data",
))  # fmt: skip
