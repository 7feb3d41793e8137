// Shows the contract that the page names. Nothing is asked of anybody but this service.
const place = document.getElementById("contract");
SwaggerUIBundle({
  url: place.dataset.url,
  domNode: place,
  deepLinking: true,
  displayOperationId: true,
  displayRequestDuration: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  filter: true,
  showExtensions: true, // x-scopes: what a key needs
  validatorUrl: null,
});
