/// Which body of the user's the current code belongs to: what is made there runs in the driver.
@usableFromInline
package enum DriverBody {
    /// The operator whose body runs; nil: none does.
    @TaskLocal package static var site: OperatorSite?

    /// Runs the body of an operator.
    @usableFromInline
    package static func run<Result>(
        of site: OperatorSite, _ body: () async throws -> Result
    ) async throws -> Result {
        try await $site.withValue(site) { try await body() }
    }
}
