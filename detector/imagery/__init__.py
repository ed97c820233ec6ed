"""Getting the images of a site: search, choose, cut out, keep.

area        the grid that a site's images are cut to
granules    what catalogues list; granules of one overpass belong together
stac        free catalogues and cloud-optimised GeoTIFFs (default: Earth Search)
sentinelhub Copernicus Data Space and the commercial Sentinel Hub
archive     a folder of products
mosaic      granules of one overpass read as one image
selection   which parts of the site are worth downloading
scenefile   the GeoTIFF that is written
sources     which source a text names
manifest    what has been fetched, so that nothing is fetched twice
fetching    the whole chain
"""
