"""How Sphinx makes the site; what it reads is written by nbs/95_pages/site.ipynb. By hand: `ffd_site`."""
from latex2mathml.converter import convert

project = 'ffd_repro'
author = copyright = 'the ffd_repro maintainers'
extensions = ['myst_nb']
exclude_patterns = ['**/.*']
suppress_warnings = ['myst.header', 'config.cache', 'mystnb.lexer']

nb_execution_mode = 'off'          # outputs are as committed
nb_ipywidgets_js = {}              # these would come from elsewhere
nb_merge_streams = True
nb_render_markdown_format = 'myst'
myst_enable_extensions = ['dollarmath', 'amsmath', 'fieldlist']
myst_heading_anchors = 3

html_theme = 'furo'
html_title = 'ffd_repro'
html_static_path = ['static']
html_css_files, html_js_files = ['site.css'], ['site.js']
html_copy_source = False
html_show_sphinx = False
html_math_renderer = 'mathml'
pygments_style, pygments_dark_style = 'a11y-high-contrast-light', 'a11y-high-contrast-dark'
python_maximum_signature_line_length = 100

def inline(self, node): self.body.append(convert(node.astext()))

def block(self, node): self.body.append(f'<div class="formula">{convert(node.astext(), display="block")}</div>')

def skip(visit):
    "A visitor that leaves the children of a node out."
    def visit_only(self, node):
        from docutils.nodes import SkipNode
        visit(self, node)
        raise SkipNode
    return visit_only

def setup(app):
    "Formulas as MathML, which browsers draw by themselves: no script and no font is fetched for them."
    app.add_html_math_renderer('mathml', (skip(inline), None), (skip(block), None))
