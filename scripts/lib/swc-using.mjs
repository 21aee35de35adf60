/**
 * Preloaded into dependency-cruiser: the walker of swc that it uses does not know `using` declarations
 * and throws at the first. They hold the same declarators as `const`, so they are walked as these are.
 */
import { Visitor } from '@swc/core/Visitor.js';

const { visitStatement, visitPattern } = Visitor.prototype;

Visitor.prototype.visitStatement = function (statement) {
  return statement.type === 'UsingDeclaration' ? this.visitUsing(statement) : visitStatement.call(this, statement);
};
/** `for (using x of …)` has one where a pattern is expected. */
Visitor.prototype.visitPattern = function (pattern) {
  return pattern.type === 'UsingDeclaration' ? this.visitUsing(pattern) : visitPattern.call(this, pattern);
};
Visitor.prototype.visitUsing = function (declaration) {
  declaration.decls = this.visitVariableDeclarators(declaration.decls);
  return declaration;
};
