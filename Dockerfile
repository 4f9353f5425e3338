# Three stages: build the program, install what it runs with, and an image that holds nothing else.
# Runs as an ordinary user from a read-only root file system; state, journal and certs are volumes.
FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY tsconfig.json tsconfig.build.json ./
COPY bin ./bin
COPY src ./src
RUN npm run build

FROM node:24-bookworm-slim AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --omit=optional

FROM node:24-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=packages /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY package.json ./
COPY bin/sallyport.js ./bin/
COPY rules ./rules
COPY schema ./schema
RUN install -d -o node -g node -m 0700 /var/lib/sallyport/state /var/lib/sallyport/journal \
 && install -d -o node -g node -m 0755 /var/lib/sallyport/certs /etc/sallyport
# What node compiles is kept for the user that runs it: made here, by one start that refuses everything.
RUN install -d -o node -g node dist/.compile-cache
USER node
RUN mkdir /tmp/first && touch /tmp/first/sallyport.yaml \
 && { timeout 10 node bin/sallyport.js start --config /tmp/first/sallyport.yaml || [ $? -eq 124 ]; } \
 && ls dist/.compile-cache/* > /dev/null && rm -r /tmp/first
VOLUME ["/var/lib/sallyport"]
EXPOSE 3128 15020
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:15020/readyz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "/app/bin/sallyport.js"]
CMD ["start", "--config", "/etc/sallyport/sallyport.yaml"]
