/// Which try of a job runs here, counted by whoever runs jobs.
@usableFromInline
package struct JobAttempt: Sendable {
    /// The try that the current task belongs to.
    @TaskLocal @usableFromInline package static var current = JobAttempt(
        number: 0, isProvisional: false)

    /// The number of earlier tries.
    package let number: Int
    /// Whether the job's failure would not be the end of it: datasets that cannot be computed are
    /// not given up then, so that later batches still wait for them.
    package let isProvisional: Bool
    /// What its tasks add to accumulators, to be counted when it has succeeded; nil: when each
    /// request has.
    @usableFromInline package let sums: AddedSums?

    package init(number: Int, isProvisional: Bool, sums: AddedSums? = nil) {
        self.number = number
        self.isProvisional = isProvisional
        self.sums = sums
    }

    /// Runs `body` as this try: what it adds to accumulators counts when it has succeeded.
    package static func run(
        _ number: Int, isProvisional: Bool, _ body: () async throws -> Void
    ) async throws {
        let attempt = JobAttempt(number: number, isProvisional: isProvisional)
        try await attempt.collectingSums(body).settle()
    }

    /// Runs `body` as this try, or a part of it, and returns what it adds to accumulators.
    package func collectingSums(_ body: () async throws -> Void) async throws -> AddedSums {
        let sums = AddedSums()
        let attempt = JobAttempt(number: number, isProvisional: isProvisional, sums: sums)
        do {
            try await Self.$current.withValue(attempt) { try await body() }
            return sums
        } catch {
            sums.drop()
            throw error
        }
    }
}
