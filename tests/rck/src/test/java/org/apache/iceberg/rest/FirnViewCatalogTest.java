package org.apache.iceberg.rest;

/** The kit's view tests, under a name that Surefire's include finds in this module. */
public class FirnViewCatalogTest extends RESTCompatibilityKitViewCatalogTests {}
