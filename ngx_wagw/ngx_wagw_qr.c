#include "ngx_wagw_calls.h"

#include <png.h>
#include <qrencode.h>

#define NGX_WAGW_QR_QUIET 4 /* modules around the code, as the standard asks */
#define NGX_WAGW_QR_SCALE 6 /* pixels per module when nothing is asked for */
#define NGX_WAGW_QR_MAX 2048

static QRcode *ngx_wagw_qr_make(wagw_str_t text)
{
    if (text.n == 0 || text.n > 2048) {
        return NULL;
    }

    return QRcode_encodeData((int)text.n, text.p, 0, QR_ECLEVEL_L);
}

static ngx_uint_t ngx_wagw_qr_dark(const QRcode *qr, int x, int y)
{
    x -= NGX_WAGW_QR_QUIET;
    y -= NGX_WAGW_QR_QUIET;

    if (x < 0 || y < 0 || x >= qr->width || y >= qr->width) {
        return 0;
    }

    return qr->data[y * qr->width + x] & 1;
}

static void ngx_wagw_qr_png_write(png_structp png, png_bytep p, png_size_t n)
{
    wagw_buf_add(png_get_io_ptr(png), p, n);
}

static void ngx_wagw_qr_png_flush(png_structp png) {}

int ngx_wagw_qr_png(wagw_buf_t *out, wagw_str_t text, ngx_uint_t size)
{
    int x, edge, pixels;
    int volatile rc, y;
    QRcode *qr;
    ngx_uint_t scale;
    png_infop info;
    png_structp png;
    png_bytep volatile row;

    qr = ngx_wagw_qr_make(text);
    if (qr == NULL) {
        return WAGW_ERROR;
    }

    rc = WAGW_ERROR;
    row = NULL;
    info = NULL;
    edge = qr->width + 2 * NGX_WAGW_QR_QUIET;

    /* whole pixels per module only, so that every reader can decode it */
    scale = size ? ngx_min(size, NGX_WAGW_QR_MAX) / (ngx_uint_t)edge : NGX_WAGW_QR_SCALE;
    scale = scale ? scale : 1;
    pixels = edge * (int)scale;

    png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    if (png == NULL) {
        goto done;
    }

    info = png_create_info_struct(png);
    row = calloc(1, (size_t)pixels / 8 + 1);

    if (info == NULL || row == NULL || setjmp(png_jmpbuf(png))) {
        goto done;
    }

    png_set_write_fn(png, out, ngx_wagw_qr_png_write, ngx_wagw_qr_png_flush);
    png_set_IHDR(png, info, (png_uint_32)pixels, (png_uint_32)pixels, 1, PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);

    for (y = 0; y < pixels; y++) {

        if (y % (int)scale == 0) {
            memset(row, 0, (size_t)pixels / 8 + 1);

            for (x = 0; x < pixels; x++) {
                if (!ngx_wagw_qr_dark(qr, x / (int)scale, y / (int)scale)) {
                    row[x / 8] |= (png_byte)(0x80 >> (x % 8));
                }
            }
        }

        png_write_row(png, row);
    }

    png_write_end(png, NULL);
    rc = out->failed ? WAGW_NOMEM : WAGW_OK;

done:

    free(row);
    png_destroy_write_struct(png ? &png : NULL, info ? &info : NULL);
    QRcode_free(qr);

    return rc;
}

int ngx_wagw_qr_svg(wagw_buf_t *out, wagw_str_t text, ngx_uint_t size)
{
    int x, y, run, edge;
    QRcode *qr;

    qr = ngx_wagw_qr_make(text);
    if (qr == NULL) {
        return WAGW_ERROR;
    }

    edge = qr->width + 2 * NGX_WAGW_QR_QUIET;
    size = size ? ngx_min(size, NGX_WAGW_QR_MAX) : (ngx_uint_t)edge * NGX_WAGW_QR_SCALE;

    wagw_buf_printf(out,
                    "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%lu\" height=\"%lu\" viewBox=\"0 0 %d %d\" "
                    "shape-rendering=\"crispEdges\"><rect width=\"%d\" height=\"%d\" fill=\"#fff\"/><path d=\"",
                    (unsigned long)size, (unsigned long)size, edge, edge, edge, edge);

    for (y = 0; y < edge; y++) {
        for (x = 0; x < edge; x += run) {
            run = 1;

            if (!ngx_wagw_qr_dark(qr, x, y)) {
                continue;
            }

            while (ngx_wagw_qr_dark(qr, x + run, y)) {
                run++;
            }

            wagw_buf_printf(out, "M%d %dh%dv1h-%dz", x, y, run, run);
        }
    }

    wagw_buf_cstr(out, "\" fill=\"#000\"/></svg>\n");
    QRcode_free(qr);

    return out->failed ? WAGW_NOMEM : WAGW_OK;
}

int ngx_wagw_qr_text(wagw_buf_t *out, wagw_str_t text)
{
    int x, y, edge;
    QRcode *qr;
    ngx_uint_t top, bottom;
    /* light is drawn, dark is left out: right on the usual dark terminal */
    static const char *cell[4] = {"\xe2\x96\x88", "\xe2\x96\x80", "\xe2\x96\x84", " "};

    qr = ngx_wagw_qr_make(text);
    if (qr == NULL) {
        return WAGW_ERROR;
    }

    edge = qr->width + 2 * NGX_WAGW_QR_QUIET;

    for (y = 0; y < edge; y += 2) {
        for (x = 0; x < edge; x++) {
            top = ngx_wagw_qr_dark(qr, x, y);
            bottom = y + 1 < edge ? ngx_wagw_qr_dark(qr, x, y + 1) : 1;
            wagw_buf_cstr(out, cell[top * 2 + bottom]);
        }

        wagw_buf_u8(out, '\n');
    }

    QRcode_free(qr);

    return out->failed ? WAGW_NOMEM : WAGW_OK;
}

int ngx_wagw_qr_data_url(wagw_buf_t *out, wagw_str_t text, ngx_uint_t size)
{
    int rc;
    wagw_buf_t png;

    ngx_memzero(&png, sizeof(png));

    rc = ngx_wagw_qr_png(&png, text, size);

    if (rc == WAGW_OK) {
        wagw_buf_cstr(out, "data:image/png;base64,");
        rc = wagw_base64_encode(out, wagw_buf_view(&png));
    }

    wagw_buf_free(&png);

    return rc;
}
