/*
 * Thumbnails of pictures: 32 pixels wide, JPEG.  Rows are read one after the
 * other and averaged into the small picture at once, so memory depends on the
 * width only.  A picture that no decoder likes is sent without one.
 */

#include "ngx_wagw_media.h"

#include <png.h>
#include <setjmp.h>
#include <webp/decode.h>

#include <jpeglib.h>

#define IMAGE_WIDTH 32
#define IMAGE_HEIGHT_MAX 160
#define IMAGE_QUALITY 50
#define IMAGE_MEMORY (48L * 1024 * 1024) /* of a decoder that needs the whole picture */
#define IMAGE_WEBP_MAX (4 * 1024 * 1024) /* of the file: its decoder wants it in one piece */
#define IMAGE_SIDE_MAX 20000

/* The average of all pixels that fall into one of the small picture's. */
typedef struct {
    uint32_t width, height; /* of the source */
    uint32_t small;         /* height of the result */
    uint64_t sum[IMAGE_HEIGHT_MAX][IMAGE_WIDTH][3];
    uint32_t count[IMAGE_HEIGHT_MAX][IMAGE_WIDTH];
} image_small_t;

static bool image_begin(image_small_t *s, uint32_t width, uint32_t height)
{
    uint64_t h;

    if (width == 0 || height == 0) {
        return false;
    }
    ngx_memzero(s, sizeof(*s));
    s->width = width;
    s->height = height;
    h = ((uint64_t)height * IMAGE_WIDTH + width / 2) / width;
    s->small = h < 1 ? 1 : h > IMAGE_HEIGHT_MAX ? IMAGE_HEIGHT_MAX : (uint32_t)h;
    return true;
}

static void image_row(image_small_t *s, uint32_t y, const uint8_t *rgb, unsigned step)
{
    uint32_t x, sx, sy = (uint32_t)((uint64_t)y * s->small / s->height);

    for (x = 0; x < s->width; x++, rgb += step) {
        sx = (uint32_t)((uint64_t)x * IMAGE_WIDTH / s->width);
        s->sum[sy][sx][0] += rgb[0];
        s->sum[sy][sx][1] += rgb[1];
        s->sum[sy][sx][2] += rgb[2];
        s->count[sy][sx]++;
    }
}

/* A picture narrower than the result leaves cells empty: they take their left neighbour. */
static void image_cell(const image_small_t *s, uint32_t y, uint32_t x, uint8_t rgb[3])
{
    uint32_t n;

    for (n = s->count[y][x]; n == 0 && x > 0; n = s->count[y][x]) {
        x--;
    }
    for (unsigned i = 0; i < 3; i++) {
        rgb[i] = n ? (uint8_t)(s->sum[y][x][i] / n) : 255;
    }
}

/* ---- libjpeg ---- */

typedef struct {
    struct jpeg_error_mgr mgr;
    jmp_buf jump;
} image_error_t;

static void image_jpeg_error(j_common_ptr c)
{
    longjmp(((image_error_t *)c->err)->jump, 1);
}

static void image_jpeg_quiet(j_common_ptr c)
{
    (void)c;
}

static void image_encode(const image_small_t *s, wagw_buf_t *out)
{
    uint8_t row[IMAGE_WIDTH * 3], *p = row;
    unsigned char *mem = NULL;
    unsigned long n = 0;
    image_error_t err;
    struct jpeg_compress_struct c;

    ngx_memzero(&c, sizeof(c));
    c.err = jpeg_std_error(&err.mgr);
    err.mgr.error_exit = image_jpeg_error;
    err.mgr.output_message = image_jpeg_quiet;
    if (setjmp(err.jump)) {
        jpeg_destroy_compress(&c);
        free(mem);
        return;
    }
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, &mem, &n);
    c.image_width = IMAGE_WIDTH;
    c.image_height = s->small;
    c.input_components = 3;
    c.in_color_space = JCS_RGB;
    jpeg_set_defaults(&c);
    jpeg_set_quality(&c, IMAGE_QUALITY, TRUE);
    jpeg_start_compress(&c, TRUE);
    while (c.next_scanline < c.image_height) {
        for (uint32_t x = 0; x < IMAGE_WIDTH; x++) {
            image_cell(s, c.next_scanline, x, row + 3 * x);
        }
        jpeg_write_scanlines(&c, &p, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    wagw_buf_add(out, mem, n);
    free(mem);
}

typedef struct {
    struct jpeg_source_mgr mgr;
    ngx_wagw_media_reader_t *reader;
    uint8_t end[2];
} image_source_t;

static void image_source_init(j_decompress_ptr d)
{
    (void)d;
}

static boolean image_source_fill(j_decompress_ptr d)
{
    wagw_str_t piece;
    image_source_t *s = (image_source_t *)d->src;

    if (!ngx_wagw_media_reader_next(s->reader, &piece) || piece.n == 0) {
        /* a file that was cut off ends here */
        s->end[0] = 0xff;
        s->end[1] = JPEG_EOI;
        piece = wagw_str(s->end, 2);
    }
    s->mgr.next_input_byte = piece.p;
    s->mgr.bytes_in_buffer = piece.n;
    return TRUE;
}

static void image_source_skip(j_decompress_ptr d, long n)
{
    while (n > (long)d->src->bytes_in_buffer) {
        n -= (long)d->src->bytes_in_buffer;
        (void)image_source_fill(d);
        if (d->src->bytes_in_buffer == 2) {
            return; /* the end, or as good as */
        }
    }
    if (n > 0) {
        d->src->next_input_byte += n;
        d->src->bytes_in_buffer -= (size_t)n;
    }
}

static bool image_jpeg(ngx_wagw_media_t *m, ngx_wagw_media_reader_t *reader, image_small_t *s)
{
    uint8_t *volatile row = NULL;
    uint8_t *p;
    image_error_t err;
    image_source_t src;
    struct jpeg_decompress_struct d;

    ngx_memzero(&d, sizeof(d));
    ngx_memzero(&src, sizeof(src));
    d.err = jpeg_std_error(&err.mgr);
    err.mgr.error_exit = image_jpeg_error;
    err.mgr.output_message = image_jpeg_quiet;
    if (setjmp(err.jump)) {
        jpeg_destroy_decompress(&d);
        free(row);
        return false;
    }
    jpeg_create_decompress(&d);
    d.mem->max_memory_to_use = IMAGE_MEMORY;
    src.reader = reader;
    src.mgr.init_source = image_source_init;
    src.mgr.fill_input_buffer = image_source_fill;
    src.mgr.skip_input_data = image_source_skip;
    src.mgr.resync_to_restart = jpeg_resync_to_restart;
    src.mgr.term_source = image_source_init;
    d.src = &src.mgr;

    jpeg_read_header(&d, TRUE);
    m->facts.width = d.image_width;
    m->facts.height = d.image_height;
    d.out_color_space = JCS_RGB;
    d.scale_num = 1;
    d.scale_denom = d.image_width >= 8 * IMAGE_WIDTH && d.image_height >= 64 ? 8 : 1;
    d.dct_method = JDCT_IFAST;
    jpeg_start_decompress(&d);
    if (d.output_components != 3 || !image_begin(s, d.output_width, d.output_height)) {
        longjmp(err.jump, 1);
    }
    row = malloc((size_t)d.output_width * 3);
    if (row == NULL) {
        longjmp(err.jump, 1);
    }
    while (d.output_scanline < d.output_height) {
        p = row;
        if (jpeg_read_scanlines(&d, &p, 1) != 1) {
            break;
        }
        image_row(s, d.output_scanline - 1, row, 3);
    }
    jpeg_destroy_decompress(&d);
    free(row);
    return true;
}

/* ---- libpng ---- */

typedef struct {
    ngx_wagw_media_reader_t *reader;
    wagw_str_t piece;
} image_png_t;

static void image_png_read(png_structp png, png_bytep out, png_size_t n)
{
    size_t k;
    image_png_t *s = png_get_io_ptr(png);

    while (n) {
        if (s->piece.n == 0 && (!ngx_wagw_media_reader_next(s->reader, &s->piece) || s->piece.n == 0)) {
            png_error(png, "cut off");
        }
        k = ngx_min(n, s->piece.n);
        memcpy(out, s->piece.p, k);
        out += k;
        n -= k;
        s->piece.p += k;
        s->piece.n -= k;
    }
}

static void image_png_error(png_structp png, png_const_charp text)
{
    (void)text;
    png_longjmp(png, 1);
}

static void image_png_warning(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

static bool image_png(ngx_wagw_media_reader_t *reader, image_small_t *s)
{
    int passes;
    uint32_t y, width, height;
    size_t bytes;
    png_infop info;
    png_color_16 white = {0, 0xffff, 0xffff, 0xffff, 0xffff};
    uint8_t *volatile rows = NULL;
    image_png_t src = {reader, {NULL, 0}};
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, NULL, image_png_error, image_png_warning);

    info = png ? png_create_info_struct(png) : NULL;
    if (info == NULL) {
        png_destroy_read_struct(&png, NULL, NULL);
        return false;
    }
    if (setjmp(png_jmpbuf(png))) {
        png_destroy_read_struct(&png, &info, NULL);
        free(rows);
        return false;
    }
    png_set_user_limits(png, IMAGE_SIDE_MAX, IMAGE_SIDE_MAX);
    png_set_read_fn(png, &src, image_png_read);
    png_read_info(png, info);
    width = png_get_image_width(png, info);
    height = png_get_image_height(png, info);
    png_set_expand(png);
    png_set_scale_16(png);
    png_set_gray_to_rgb(png);
    if (png_get_color_type(png, info) & PNG_COLOR_MASK_ALPHA || png_get_valid(png, info, PNG_INFO_tRNS)) {
        png_set_background(png, &white, PNG_BACKGROUND_GAMMA_SCREEN, 0, 1.0);
    }
    passes = png_set_interlace_handling(png);
    png_read_update_info(png, info);
    bytes = png_get_rowbytes(png, info);
    if (bytes != (size_t)width * 3 || !image_begin(s, width, height) ||
        (passes > 1 && (uint64_t)bytes * height > IMAGE_MEMORY)) {
        png_error(png, "not for us");
    }
    rows = malloc(passes > 1 ? bytes * height : bytes);
    if (rows == NULL) {
        png_error(png, "memory");
    }
    for (; passes > 1; passes--) {
        for (y = 0; y < height; y++) {
            png_read_row(png, rows + (size_t)y * bytes, NULL);
        }
    }
    for (y = 0; y < height; y++) {
        uint8_t *row = png_get_interlace_type(png, info) == PNG_INTERLACE_NONE ? rows : rows + (size_t)y * bytes;

        png_read_row(png, row, NULL);
        image_row(s, y, row, 3);
    }
    png_destroy_read_struct(&png, &info, NULL);
    free(rows);
    return true;
}

/* ---- libwebp ---- */

static bool image_webp(ngx_wagw_media_t *m, ngx_wagw_media_reader_t *reader, image_small_t *s)
{
    bool ok = false;
    wagw_buf_t all = {0};
    wagw_str_t piece;
    WebPDecoderConfig c;

    if (m->sums.size > IMAGE_WEBP_MAX || !WebPInitDecoderConfig(&c)) {
        return false;
    }
    while (ngx_wagw_media_reader_next(reader, &piece) && piece.n) {
        wagw_buf_str(&all, piece);
    }
    if (all.failed || WebPGetFeatures(all.p, all.n, &c.input) != VP8_STATUS_OK || c.input.has_animation ||
        (uint64_t)c.input.width * (uint64_t)c.input.height * 3 > IMAGE_MEMORY) {
        goto done;
    }
    m->facts.width = (uint32_t)c.input.width;
    m->facts.height = (uint32_t)c.input.height;
    c.options.use_scaling = c.input.width > 4 * IMAGE_WIDTH;
    c.options.scaled_width = 4 * IMAGE_WIDTH;
    c.options.scaled_height = (int)ngx_max(1, (int64_t)c.input.height * 4 * IMAGE_WIDTH / c.input.width);
    c.output.colorspace = MODE_RGB;
    if (WebPDecode(all.p, all.n, &c) == VP8_STATUS_OK &&
        image_begin(s, (uint32_t)c.output.width, (uint32_t)c.output.height)) {
        for (int y = 0; y < c.output.height; y++) {
            image_row(s, (uint32_t)y, c.output.u.RGBA.rgba + (size_t)y * (size_t)c.output.u.RGBA.stride, 3);
        }
        ok = true;
    }
    WebPFreeDecBuffer(&c.output);

done:
    wagw_buf_free(&all);
    return ok;
}

void ngx_wagw_media_picture(ngx_wagw_media_t *m)
{
    bool ok = false;
    image_small_t *s = malloc(sizeof(*s));
    ngx_wagw_media_reader_t *r = malloc(sizeof(*r));

    if (s == NULL || r == NULL || ngx_wagw_media_reader(r, m->out, &m->keys, 0, m->sums.size) != NGX_OK) {
        free(s);
        free(r);
        return;
    }
    if (strcmp(m->facts.suffix, "jpg") == 0) {
        ok = image_jpeg(m, r, s);
    } else if (strcmp(m->facts.suffix, "png") == 0) {
        ok = image_png(r, s);
    } else if (strcmp(m->facts.suffix, "webp") == 0) {
        ok = image_webp(m, r, s);
    }
    if (ok) {
        image_encode(s, &m->thumbnail);
    } else if (strcmp(m->facts.suffix, "gif") != 0 && m->facts.width == 0) {
        ngx_wagw_media_fail(m, 415, "UNSUPPORTED_MEDIA", "The image cannot be decoded");
    }
    ngx_wagw_media_reader_end(r);
    free(r);
    free(s);
}
