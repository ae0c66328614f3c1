/// Which try of a job runs here, counted by whoever runs jobs.
package struct JobAttempt: Sendable {
    /// The try that the current task belongs to.
    @TaskLocal package static var current = JobAttempt(number: 0, isProvisional: false)

    /// The number of earlier tries.
    package let number: Int
    /// Whether the job's failure would not be the end of it: datasets that cannot be computed are
    /// not given up then, so that later batches still wait for them.
    package let isProvisional: Bool

    package init(number: Int, isProvisional: Bool) {
        self.number = number
        self.isProvisional = isProvisional
    }
}
